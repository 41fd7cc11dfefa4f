//! Random bytes, HTTP and discovery of a test, one of each for each thread.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

use crate::{HostError, discovery::Endpoint, http};

type Answerer = Box<dyn Fn(&http::Request) -> Result<http::Response, HostError>>;

struct Service {
    id: String,
    env_tag: Option<String>,
    endpoints: Vec<Endpoint>,
}

thread_local! {
    static RANDOM: Cell<u64> = const { Cell::new(0x9E37_79B9_7F4A_7C15) };
    static NEXT_RANDOM: RefCell<VecDeque<u8>> = const { RefCell::new(VecDeque::new()) };
    static HTTP: RefCell<Option<Answerer>> = const { RefCell::new(None) };
    static SENT: RefCell<Vec<http::Request>> = const { RefCell::new(Vec::new()) };
    static SERVICES: RefCell<Vec<Service>> = const { RefCell::new(Vec::new()) };
}

/// What [`crate::random`] gives next in this thread; after them it goes on as ever.
///
/// ```
/// use cordboard_plugin_sdk::{random, testing};
///
/// testing::set_random([7; 4]);
/// assert_eq!(random::bytes(4), [7; 4]);
/// assert_ne!(random::bytes(4), [7; 4]);
/// ```
pub fn set_random(bytes: impl Into<Vec<u8>>) {
    NEXT_RANDOM.set(bytes.into().into());
}

/// A small generator (xorshift64*).
pub(crate) fn random_bytes(length: u32) -> Vec<u8> {
    let next = || {
        if let Some(byte) = NEXT_RANDOM.with_borrow_mut(VecDeque::pop_front) {
            return byte;
        }
        let mut state = RANDOM.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        RANDOM.set(state);
        state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// Answers what [`http::Request::send`] sends from this thread. Without it every request is denied, and what is not an
/// `http://` address is `invalid` in any case. A host that is not in the grant is answered by
/// `Err(HostError::new("denied", …))`.
pub fn answer_http(answer: impl Fn(&http::Request) -> Result<http::Response, HostError> + 'static) {
    HTTP.set(Some(Box::new(answer)));
}

/// What this thread sent with [`http::Request::send`] since it was last asked, in order, answered or not.
#[must_use]
pub fn take_http() -> Vec<http::Request> {
    SENT.take()
}

pub(crate) fn answer(request: &http::Request) -> Result<http::Response, HostError> {
    SENT.with_borrow_mut(|sent| sent.push(request.clone()));
    if !request.url.starts_with("http://") {
        return Err(HostError::new("invalid", format!("{:?} is not an `http://` URL", request.url)));
    }
    HTTP.with_borrow(|answerer| match answerer {
        Some(answerer) => answerer(request),
        None => Err(HostError::new("denied", "the test answers no HTTP; see testing::answer_http")),
    })
}

/// What [`crate::discovery::lookup`] finds in this thread for a service and a tag. A tag for which nothing was set finds
/// those of the service that [have it](Endpoint::with_env_tag).
///
/// ```
/// use cordboard_plugin_sdk::{discovery::{self, Endpoint}, testing};
///
/// let plain = Endpoint::new("10.0.0.7:9001");
/// let canary = Endpoint::new("10.0.0.8:9001").with_env_tag("canary");
/// testing::set_endpoints("chat", None, vec![plain, canary]);
/// assert_eq!(discovery::lookup("chat", None)?.len(), 2);
/// assert_eq!(discovery::lookup("chat", Some("canary"))?[0].address, "10.0.0.8:9001");
/// assert_eq!(discovery::lookup("chess", None).unwrap_err().code, "not-found");
/// # Ok::<(), cordboard_plugin_sdk::HostError>(())
/// ```
pub fn set_endpoints(service_id: &str, env_tag: Option<&str>, endpoints: Vec<Endpoint>) {
    SERVICES.with_borrow_mut(|services| {
        services.retain(|service| !service.is(service_id, env_tag));
        services.push(Service { id: service_id.to_owned(), env_tag: env_tag.map(str::to_owned), endpoints });
    });
}

pub(crate) fn endpoints(service_id: &str, env_tag: Option<&str>) -> Result<Vec<Endpoint>, HostError> {
    SERVICES.with_borrow(|services| {
        let of = |env_tag| services.iter().find(|service| service.is(service_id, env_tag));
        if let Some(found) = of(env_tag) {
            return Ok(found.endpoints.clone());
        }
        let missing = || HostError::new("not-found", "the test has no such service; see testing::set_endpoints");
        let all = of(None).ok_or_else(missing)?;
        Ok(all.endpoints.iter().filter(|endpoint| endpoint.env_tag() == env_tag).cloned().collect())
    })
}

impl Service {
    fn is(&self, id: &str, env_tag: Option<&str>) -> bool {
        self.id == id && self.env_tag.as_deref() == env_tag
    }
}
