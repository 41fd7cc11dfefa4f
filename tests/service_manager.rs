//! Under a service manager: it is told how the proxy is (`sd_notify(3)`), and hands over sockets (`sd_listen_fds(3)`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

#[path = "service_manager/sockets.rs"]
mod sockets;
#[path = "service_manager/told.rs"]
mod told;
