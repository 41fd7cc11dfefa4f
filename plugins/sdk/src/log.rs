//! The host's log. It adds connection and plugin ids itself, and limits the rate and the length of what is written.
//!
//! `log::info!("joined {channel}")` and its siblings `trace!`, `debug!`, `warn!` and `error!` build the message only
//! when somebody will see it. In native tests the lines go to standard error, and are kept for `testing::take_log`.
//!
//! ```
//! use cordboard_plugin_sdk::{log, testing};
//!
//! let channel = "blue";
//! log::info!("joined {channel}");
//! log::write(log::Level::Warn, "refused", &[("channel", channel), ("why", "full")]);
//! assert_eq!(testing::take_log(), ["info joined blue", r#"warn refused channel="blue" why="full""#]);
//! ```

pub use crate::{
    __log_debug as debug, __log_error as error, __log_info as info, __log_trace as trace, __log_warn as warn,
};

/// How much a line matters.
pub use crate::bindings::imports::cordboard::host::log::Level;

/// Writes one line with fields.
pub fn write(level: Level, message: &str, fields: &[(&str, &str)]) {
    #[cfg(target_family = "wasm")]
    {
        let fields: Vec<(String, String)> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        crate::bindings::imports::cordboard::host::log::write(level, message, &fields);
    }
    #[cfg(not(target_family = "wasm"))]
    {
        crate::testing::record_line(level, message, fields);
    }
}

/// Whether a line of this level would be seen by anybody. In native tests `testing::set_log_level` says so.
#[must_use]
pub fn enabled(level: Level) -> bool {
    #[cfg(target_family = "wasm")]
    {
        crate::bindings::imports::cordboard::host::log::enabled(level)
    }
    #[cfg(not(target_family = "wasm"))]
    {
        crate::testing::is_logged(level)
    }
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:ident, $($message:tt)+) => {
        if $crate::log::enabled($crate::log::Level::$level) {
            $crate::log::write($crate::log::Level::$level, &::std::format!($($message)+), &[]);
        }
    };
}

/// Logs at level `trace`, with the arguments of `format!`.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_trace { ($($message:tt)+) => { $crate::__log!(Trace, $($message)+) }; }

/// Logs at level `debug`, with the arguments of `format!`.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_debug { ($($message:tt)+) => { $crate::__log!(Debug, $($message)+) }; }

/// Logs at level `info`, with the arguments of `format!`.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_info { ($($message:tt)+) => { $crate::__log!(Info, $($message)+) }; }

/// Logs at level `warn`, with the arguments of `format!`.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_warn { ($($message:tt)+) => { $crate::__log!(Warn, $($message)+) }; }

/// Logs at level `error`, with the arguments of `format!`.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_error { ($($message:tt)+) => { $crate::__log!(Error, $($message)+) }; }
