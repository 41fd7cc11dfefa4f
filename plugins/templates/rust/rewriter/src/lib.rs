//! What a service learns of a request, and what a client does not learn of an answer.
//!
//! | key | default | is |
//! |---|---|---|
//! | `set` | `{}` | header fields that the service gets, in place of any that the client sent |
//! | `remove` | `[]` | header fields of the client that the service does not get |
//! | `hide` | `[]` | header fields of the service that the client does not get |

use std::collections::BTreeMap;

use cordboard_plugin_sdk::{
    Edit, Plugin, Rejection, Request, RequestRewriting, ResponseRewriting, config::Object, export,
};

struct Policy {
    set: BTreeMap<String, String>,
    remove: Vec<String>,
    hide: Vec<String>,
}

impl Plugin for Policy {
    const NAME: &'static str = env!("CARGO_PKG_NAME");

    fn init(config: &str) -> Result<Self, String> {
        let mut keys = Object::parse(config)?;
        let policy = Self {
            set: keys.must("set", "map names to values", BTreeMap::new())?,
            remove: keys.texts("remove", &[])?,
            hide: keys.texts("hide", &[])?,
        };
        keys.finish()?; // refuses a key that nobody took: it is a mistake in writing
        Ok(policy)
    }
}

impl RequestRewriting for Policy {
    // Carried out in order: what is set is there, also where it is to be removed.
    fn rewrite_request(&self, _: &impl Request) -> Result<Vec<Edit>, Rejection> {
        let removed = self.remove.iter().map(Edit::remove);
        let set = self.set.iter().map(|(name, value)| Edit::set(name, value));
        Ok(removed.chain(set).collect())
    }
}

impl ResponseRewriting for Policy {
    // The header of the answer is not looked at: fields that are no text are not in it.
    fn rewrite_response(
        &self,
        _: &impl Request,
        _status: u16,
        _headers: &[(String, String)],
    ) -> Result<Vec<Edit>, Rejection> {
        Ok(self.hide.iter().map(Edit::remove).collect())
    }
}

export!(Policy: RequestRewriting, ResponseRewriting);

#[cfg(test)]
mod tests;
