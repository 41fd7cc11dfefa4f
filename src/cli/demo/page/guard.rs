//! Who is answered, and whose word is taken for an order.
//!
//! Other pages in the same browser are strangers. A name of theirs that was made to point here (DNS rebinding) is no
//! loopback name; what they send of their own accord (CSRF) has their `Origin`, and a type other than JSON or a question
//! beforehand that nobody answers. Other machines come with an address of theirs, should the demo's listener be opened
//! to them.

use http::{StatusCode, header, request::Parts};
use hyper::body::Incoming;
use serde_json::Value;

use crate::local;

/// The `Host` of a request that was made on this machine and under a name of this machine.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn is_local(head: &Parts) -> Result<&str, &'static str> {
    let host = local::host(&head.headers)?;
    // The proxy's word: what its clients say of themselves it does not pass on.
    let mut callers =
        head.headers.get_all("x-forwarded-for").iter().flat_map(|line| line.as_bytes().split(|&b| b == b','));
    if !callers.all(|caller| std::str::from_utf8(caller).is_ok_and(|caller| local::is_loopback(caller.trim()))) {
        return Err("the page is for browsers on this machine");
    }
    Ok(host)
}

/// The body of a request that the page itself made.
///
/// # Errors
/// The status to answer with, and why.
pub(super) async fn read(head: &Parts, body: Incoming) -> Result<Value, (StatusCode, String)> {
    let refuse = |status, why: &str| Err((status, why.to_owned()));
    let headers = &head.headers;
    let origin = local::one(headers, &header::ORIGIN).and_then(|origin| origin.strip_prefix("http://"));
    if origin.is_none() || origin != local::one(headers, &header::HOST) {
        return refuse(
            StatusCode::FORBIDDEN,
            "orders are taken from the page alone: the Origin is not that of the Host",
        );
    }
    if headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return refuse(StatusCode::FORBIDDEN, "orders are taken from the page alone: this is another site's");
    }
    local::is_json(headers)?;
    local::parse(&local::body(body).await?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_names_and_callers_of_this_machine_are_answered() {
        for (host, callers, local) in [
            ("127.0.0.1:8080", &[][..], true),
            ("localhost:8080", &["127.0.0.1"][..], true),
            ("LOCALHOST", &["127.0.0.1, ::1", "::ffff:127.0.0.1"][..], true),
            ("[::1]:8080", &[][..], true),
            ("rebound.example:8080", &[][..], false),
            ("localhost.example", &[][..], false),
            ("127.0.0.1.example", &[][..], false),
            ("192.168.0.7:8080", &[][..], false),
            ("local host", &[][..], false),
            ("127.0.0.1:8080", &["192.168.0.7"][..], false),
            ("127.0.0.1:8080", &["127.0.0.1, 192.168.0.7"][..], false),
            ("127.0.0.1:8080", &["192.168.0.7", "127.0.0.1"][..], false),
            ("127.0.0.1:8080", &["unknown"][..], false),
        ] {
            let mut request = http::Request::builder().header(header::HOST, host);
            for callers in callers {
                request = request.header("x-forwarded-for", *callers);
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(is_local(&head).is_ok(), local, "{host} {callers:?}");
        }
        let (head, ()) = http::Request::new(()).into_parts();
        assert!(is_local(&head).is_err());
    }
}
