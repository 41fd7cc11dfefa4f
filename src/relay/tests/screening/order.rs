//! Any messages, cut in any way and looked at however slowly, come out in their order.

use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::*;

/// A message as a peer sends it: kind, payload, where it is cut into frames, a Ping between.
#[derive(Clone, Debug)]
struct Sent {
    text: String,
    cuts: Vec<usize>,
    ping: bool,
}

fn sent() -> impl Strategy<Value = Sent> {
    let text = prop_oneof![
        Just("drop".to_owned()),
        Just("emit".to_owned()),
        Just("both".to_owned()),
        "[a-zé]{0,30}",
        "[a-z]{200,70000}"
    ];
    (text, proptest::collection::vec(any::<prop::sample::Index>(), 0..4), any::<bool>()).prop_map(
        |(text, cuts, ping)| {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.sort_unstable();
            Sent { text, cuts, ping }
        },
    )
}

impl Sent {
    fn bytes(&self, key: Option<[u8; 4]>) -> Vec<u8> {
        let mut out = Vec::new();
        let ends = self.cuts.iter().copied().chain([self.text.len()]);
        let mut begin = 0;
        for (n, end) in ends.enumerate() {
            let opcode = if n == 0 { TEXT } else { CONT };
            out.extend(frame(n == self.cuts.len(), opcode, &self.text.as_bytes()[begin..end], key));
            if self.ping {
                out.extend(frame(true, PING, b"p", key));
            }
            begin = end;
        }
        out
    }

    fn expected(&self, wanted: bool) -> Vec<Vec<u8>> {
        let text = self.text.clone().into_bytes();
        match self.text.as_str() {
            "drop" if wanted => vec![],
            "emit" if wanted => vec![b"made".to_vec()],
            "both" if wanted => vec![text, b"made".to_vec()],
            _ => vec![text],
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// However they are cut and however slowly they are looked at: all messages of a direction come out, in order.
    #[test]
    fn each_direction_keeps_its_order(
        to_backend in proptest::collection::vec(sent(), 0..8),
        to_client in proptest::collection::vec(sent(), 0..8),
        wants in any::<[bool; 2]>(),
        most in 1..100_u32,
        whole in any::<bool>(),
        slow in any::<bool>(),
        rendezvous in any::<bool>(),
        piece in 1..5000_usize,
    ) {
        let rig = if rendezvous { Rig::rendezvous(&quiet()) } else { Rig::routed(&quiet()) };
        let most = if whole { u32::MAX } else { most };
        let mut it = Stage::new(rig, wants.map(|wants| wants.then_some(most)), Oversize::Pass);
        it.screen.slow.store(slow, Ordering::Relaxed);
        let all = |sent: &[Sent], key| sent.iter().flat_map(|sent| sent.bytes(key)).collect::<Vec<_>>();
        let key = Some([7, 1, 0, 255]);
        let said = [all(&to_backend, key), all(&to_client, key.filter(|_| rendezvous))];
        let mut pieces = said.each_ref().map(|said| said.chunks(piece));
        loop {
            let next = [pieces[0].next(), pieces[1].next()];
            if let Some(bytes) = next[0] {
                it.rig.client.says(bytes);
            }
            if let Some(bytes) = next[1] {
                it.rig.backend.says(bytes);
            }
            it.run();
            it.say();
            if next == [None, None] {
                break;
            }
        }
        while it.say() {}
        let expected = |sent: &[Sent], wanted: bool| {
            sent.iter().flat_map(|sent| sent.expected(wanted && sent.text.len() <= most as usize)).collect::<Vec<_>>()
        };
        prop_assert_eq!(messages(&it.rig.backend.frames()), expected(&to_backend, wants[0]));
        prop_assert_eq!(messages(&it.rig.client.frames()), expected(&to_client, wants[1]));
        let (client, backend) = it.rig.legs();
        prop_assert_eq!(client.messages_in, to_backend.len() as u64);
        prop_assert_eq!(backend.messages_out, expected(&to_backend, wants[0]).len() as u64);
    }
}
