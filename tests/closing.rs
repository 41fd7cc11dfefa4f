//! How sessions end when a peer is rude: what it gets, what the other leg hears, that its seat is free at once, and what
//! the operator is told. Each rule in both modes, with the client and the backend as the rude one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "closing/broken.rs"]
mod broken;
#[path = "closing/closes.rs"]
mod closes;
#[path = "closing/dribbled.rs"]
mod dribbled;
mod support;
#[path = "closing/violations.rs"]
mod violations;
