//! HTTP requests of the plugin's own. Needs a grant that lists the hosts.
//!
//! ```
//! use cordboard_plugin_sdk::{http::{Request, Response}, testing};
//!
//! testing::answer_http(|request| match request.url.as_str() {
//!     "http://users.example/ada" => Ok(Response { status: 200, headers: vec![], body: b"admin".to_vec() }),
//!     _ => Ok(Response { status: 404, headers: vec![], body: vec![] }),
//! });
//! let response = Request::get("http://users.example/ada").with_header("accept", "text/plain").send()?;
//! assert_eq!((response.status, response.body.as_slice()), (200, &b"admin"[..]));
//! # Ok::<(), cordboard_plugin_sdk::HostError>(())
//! ```

use std::time::Duration;

pub use crate::bindings::imports::cordboard::host::http_client::{Request, Response};

use crate::HostError;

impl Request {
    /// A request without header fields and body, and with the longest timeout of the grant.
    #[must_use]
    pub fn new(method: &str, url: impl Into<String>) -> Self {
        Self { method: method.to_owned(), url: url.into(), headers: Vec::new(), body: Vec::new(), timeout_ms: 0 }
    }

    /// A GET.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A POST of this body.
    #[must_use]
    pub fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::new("POST", url) }
    }

    /// Adds a header field.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// How long the answer may take, in whole milliseconds and at least one; the grant's longest where it is shorter.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1);
        self
    }

    /// Sends it and waits for all of the answer. The host does other things meanwhile. Redirects are not followed, and
    /// any status is an answer. In native tests `testing::answer_http` answers.
    ///
    /// # Errors
    /// Well-known codes: `denied` (the host is not in the grant), `timeout`, `unavailable`, `too-large`, `invalid`.
    pub fn send(&self) -> Result<Response, HostError> {
        #[cfg(target_family = "wasm")]
        {
            crate::bindings::imports::cordboard::host::http_client::send(self)
        }
        #[cfg(not(target_family = "wasm"))]
        {
            crate::testing::answer(self)
        }
    }
}

impl Response {
    /// The first value of a header field; the name's case does not matter.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}
