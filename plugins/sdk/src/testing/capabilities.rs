//! Random bytes, metrics, HTTP and discovery of a test, one of each for each thread.

use std::cell::{Cell, RefCell};

use crate::{HostError, discovery::Endpoint, http};

/// A value given to the host's metrics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// Added to a counter.
    Counter(u64),
    /// What a gauge was set to.
    Gauge(f64),
    /// Added to a histogram.
    Histogram(f64),
}

/// One call of [`crate::metrics`].
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The metric's name.
    pub name: String,
    /// What was given.
    pub measure: Measure,
    /// Its labels.
    pub labels: Vec<(String, String)>,
}

type Answerer = Box<dyn Fn(&http::Request) -> Result<http::Response, HostError>>;

struct Service {
    id: String,
    env_tag: Option<String>,
    endpoints: Vec<Endpoint>,
}

thread_local! {
    static RANDOM: Cell<u64> = const { Cell::new(0x9E37_79B9_7F4A_7C15) };
    static METRICS: RefCell<Vec<Metric>> = const { RefCell::new(Vec::new()) };
    static HTTP: RefCell<Option<Answerer>> = const { RefCell::new(None) };
    static SERVICES: RefCell<Vec<Service>> = const { RefCell::new(Vec::new()) };
}

/// A small generator (xorshift64*).
pub(crate) fn random_bytes(length: u32) -> Vec<u8> {
    let next = || {
        let mut state = RANDOM.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        RANDOM.set(state);
        state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

pub(crate) fn record_metric(name: &str, measure: Measure, labels: Vec<(String, String)>) {
    METRICS.with_borrow_mut(|all| all.push(Metric { name: name.to_owned(), measure, labels }));
}

/// What this thread gave to [`crate::metrics`] since it was last asked, in order.
#[must_use]
pub fn take_metrics() -> Vec<Metric> {
    METRICS.take()
}

/// Answers what [`http::Request::send`] sends from this thread. Without it every request is denied.
pub fn answer_http(answer: impl Fn(&http::Request) -> Result<http::Response, HostError> + 'static) {
    HTTP.set(Some(Box::new(answer)));
}

pub(crate) fn answer(request: &http::Request) -> Result<http::Response, HostError> {
    HTTP.with_borrow(|answerer| match answerer {
        Some(answerer) => answerer(request),
        None => Err(HostError::new("denied", "the test answers no HTTP; see testing::answer_http")),
    })
}

/// What [`crate::discovery::lookup`] finds in this thread for a service and a tag.
pub fn set_endpoints(service_id: &str, env_tag: Option<&str>, endpoints: Vec<Endpoint>) {
    SERVICES.with_borrow_mut(|services| {
        services.retain(|service| !service.is(service_id, env_tag));
        services.push(Service { id: service_id.to_owned(), env_tag: env_tag.map(str::to_owned), endpoints });
    });
}

pub(crate) fn endpoints(service_id: &str, env_tag: Option<&str>) -> Result<Vec<Endpoint>, HostError> {
    SERVICES.with_borrow(|services| {
        let found = services.iter().find(|service| service.is(service_id, env_tag));
        let missing = || HostError::new("not-found", "the test has no such service; see testing::set_endpoints");
        found.map(|service| service.endpoints.clone()).ok_or_else(missing)
    })
}

impl Service {
    fn is(&self, id: &str, env_tag: Option<&str>) -> bool {
        self.id == id && self.env_tag.as_deref() == env_tag
    }
}
