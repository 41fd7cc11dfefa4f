//! What changes, told as it changes: server-sent events, which end when the proxy stops.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::{sync::OwnedSemaphorePermit, time::sleep};

use super::{Body, Page, mark, problem, state, told};

/// How often is looked for a change.
const EVERY: Duration = Duration::from_millis(300);
/// After how many looks without one a sign of life is sent, well within the proxy's `http.idle`.
const QUIET: u32 = 30;

struct Listening {
    page: Arc<Page>,
    last: String,
    _one: OwnedSemaphorePermit,
}

/// An answer that goes on.
pub(super) fn stream(page: &Arc<Page>) -> Response<Body> {
    let Ok(one) = Arc::clone(&page.listeners).try_acquire_owned() else {
        let mut response = told(problem(StatusCode::SERVICE_UNAVAILABLE, "as many pages are open as may be"));
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        return response;
    };
    let listening = Listening { page: Arc::clone(page), last: String::new(), _one: one };
    let events = stream::unfold(listening, |mut listening| async move {
        let drain = listening.page.drain.clone();
        let event = tokio::select! {
            biased;
            () = drain.begun() => return None,
            event = listening.next() => event,
        };
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from(event))), listening))
    });
    let mut response = Response::new(StreamBody::new(events).boxed_unsync());
    mark(response.headers_mut(), "text/event-stream");
    response
}

impl Listening {
    async fn next(&mut self) -> String {
        let mut looks = 0;
        loop {
            let first = self.last.is_empty();
            if !first {
                sleep(EVERY).await;
            }
            let now = state::read(&self.page).await.to_string();
            if now != self.last {
                self.last.clone_from(&now);
                return format!("data: {now}\n\n");
            }
            looks += 1;
            if looks == QUIET {
                return ": nothing new\n\n".to_owned();
            }
        }
    }
}
