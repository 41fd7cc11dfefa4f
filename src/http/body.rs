//! The bodies that pass: a request's on its way to a service, an answer's on its way to the client.
//!
//! Nothing is collected: a frame is asked for when the other side can take it. Both count into one [`Exchange`], which
//! is over when both are gone.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

use super::{edge, forward::Exchange};
use crate::{
    error::Cause,
    head::plain::may_trail,
    model::PoolRules,
    upstream::pool::{Lent, Pool},
};

/// What goes wrong with a body.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

type Next = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// The body of an answer.
pub enum Answered {
    /// Ours.
    Own(Full<Bytes>),
    /// A service's.
    Forwarded(Box<Download>),
}

impl From<Full<Bytes>> for Answered {
    fn from(body: Full<Bytes>) -> Self {
        Self::Own(body)
    }
}

impl Body for Answered {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Next {
        match self.get_mut() {
            Self::Own(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Forwarded(body) => Pin::new(body.as_mut()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_end_stream(),
            Self::Forwarded(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) => body.size_hint(),
            Self::Forwarded(body) => body.size_hint(),
        }
    }
}

/// A frame with trailers only as far as they may pass.
fn clean(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(trailers) => Frame::trailers(trailers.iter().filter(|(name, _)| may_trail(name)).fold(
            HeaderMap::new(),
            |mut kept, (name, value)| {
                kept.append(name, value.clone());
                kept
            },
        )),
        Err(data) => data,
    }
}

/// A request's body on its way to a service.
pub struct Upload {
    /// None where there is none, or no more of it.
    body: Option<Incoming>,
    exchange: Arc<Exchange>,
    /// How long it waits to be asked for.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Upload {
    pub(super) fn new(body: Option<Incoming>, exchange: Arc<Exchange>) -> Self {
        Self { body, exchange, patience: None }
    }

    /// Whether it may be read.
    fn poll_asked(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        let Some(gate) = self.exchange.gate() else { return Poll::Ready(Ok(())) };
        if let Poll::Ready(asked) = gate.poll(cx) {
            return Poll::Ready(asked);
        }
        // The service has seen the head by now, or will soon.
        let wait = self.exchange.rules.expect;
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(wait)));
        ready!(patience.as_mut().poll(cx));
        gate.open();
        // Unless the answer was faster.
        gate.poll(cx)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Next {
        let this = self.get_mut();
        if this.body.is_none() {
            return Poll::Ready(None);
        }
        ready!(this.poll_asked(cx))?;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let frame = Pin::new(&mut *body).poll_frame(cx);
        this.exchange.starving(frame.is_pending());
        let frame = ready!(frame);
        match &frame {
            Some(Ok(frame)) => {
                if !this.exchange.received(frame.data_ref().map_or(0, Bytes::len)) {
                    let most = this.exchange.rules.body;
                    this.exchange.fail(Cause::BodyTooBig, format!("more than {most} bytes (http.body)"));
                    return Poll::Ready(Some(Err("the body is too big".into())));
                }
                if frame.is_trailers() || body.is_end_stream() {
                    this.body = None;
                }
            }
            Some(Err(error)) => {
                match edge::violation(error) {
                    Some(violation) => this.exchange.fail(violation.cause, violation.to_string()),
                    None => this.exchange.fail(Cause::ClientGone, error.to_string()),
                }
                this.body = None;
            }
            None => this.body = None,
        }
        if this.body.is_none() {
            this.exchange.upload_over(None);
        }
        Poll::Ready(frame.map(|frame| Ok(clean(frame?))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(rest) = self.body.take() {
            // What was not asked for is not read either: hyper would ask for it.
            let asked = self.exchange.gate().is_none_or(super::forward::Gate::is_open);
            self.exchange.upload_over(asked.then_some(rest));
        }
    }
}

/// An answer's body on its way to the client. Its connection is free for the next request when it has ended, and
/// closed when it is dropped before.
pub struct Download {
    body: Incoming,
    exchange: Arc<Exchange>,
    /// None once it has ended.
    lent: Option<Lent<Upload>>,
    /// It goes on until somebody leaves.
    endless: bool,
    pool: Pool<Upload>,
    rules: PoolRules,
}

impl Download {
    pub(super) fn new(
        body: Incoming,
        exchange: Arc<Exchange>,
        lent: Lent<Upload>,
        endless: bool,
        pool: Pool<Upload>,
        rules: PoolRules,
    ) -> Self {
        let mut this = Self { body, exchange, lent: Some(lent), endless, pool, rules };
        if this.body.is_end_stream() {
            this.ended();
        }
        this
    }

    fn ended(&mut self) {
        if let Some(lent) = self.lent.take() {
            self.exchange.download_over();
            self.pool.give_back(lent, self.rules);
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Next {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                this.exchange.sent(frame.data_ref().map_or(0, Bytes::len));
                if frame.is_trailers() || this.body.is_end_stream() {
                    this.ended();
                }
            }
            Some(Err(error)) => {
                this.exchange.fail(Cause::BackendBroken, error.to_string());
                this.exchange.break_visibly();
            }
            None => this.ended(),
        }
        Poll::Ready(frame.map(|frame| Ok(clean(frame?))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if self.lent.is_some() {
            let (cause, detail) = if self.endless {
                (Cause::Closed, "the client left; a stream of events has no end of its own")
            } else {
                (Cause::ClientGone, "it left before all of the answer was through")
            };
            self.exchange.fail(cause, detail);
            self.exchange.gate_over();
        }
    }
}
