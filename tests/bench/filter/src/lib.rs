//! The message filter whose cost is measured: it reads every byte of each message of at most 64 KiB, both ways, and lets
//! it pass; configured with `{"reads": false}` it wants no messages at all.

use cordboard_plugin_sdk::{
    Action, Connection, Direction, Interest, Message, MessageFiltering, MessageKind, OversizePolicy, Plugin, Request,
    config::Object, export,
};

/// Longest message that is read, in bytes.
const MOST: u32 = 64 << 10;

struct Filter {
    reads: bool,
}

impl Plugin for Filter {
    const NAME: &'static str = "bench-filter";

    fn init(config: &str) -> Result<Self, String> {
        let mut keys = Object::parse(config)?;
        let reads = keys.take("reads", true)?;
        keys.finish()?;
        Ok(Self { reads })
    }
}

impl MessageFiltering for Filter {
    fn open(&self, _: &impl Request, _: &impl Connection, interest: &impl Interest) {
        if self.reads {
            for direction in Direction::ALL {
                for kind in [MessageKind::Text, MessageKind::Binary] {
                    interest.messages(direction, kind, MOST, OversizePolicy::Pass);
                }
            }
        }
    }

    fn on_message(&self, message: &impl Message, _: &impl Connection, _: &impl Interest) -> Vec<Action> {
        // No message of the benchmark is all zeros.
        if message.bytes().iter().all(|byte| *byte == 0) { Vec::new() } else { vec![Action::Forward] }
    }
}

export!(Filter: MessageFiltering);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use cordboard_plugin_sdk::testing::{TestConnection, TestInterest, TestMessage, TestRequest};

    use super::*;

    #[test]
    fn it_wants_all_or_nothing_and_lets_pass_what_it_reads() {
        for (config, wanted) in [("{}", 4), (r#"{"reads": false}"#, 0)] {
            let (filter, interest) = (Filter::init(config).unwrap(), TestInterest::new());
            filter.open(&TestRequest::upgrade("/"), &TestConnection::new(), &interest);
            assert_eq!(interest.wanted().len(), wanted);
        }
        let message = TestMessage::binary(Direction::ToBackend, [0, 1]);
        let filter = Filter::init("{}").unwrap();
        assert_eq!(filter.on_message(&message, &TestConnection::new(), &TestInterest::new()), [Action::Forward]);
    }
}
