//! The control plane: what is served, asked and commanded while the recording thread goes on.
//!
//! The recording thread never waits for any of it. It sends what it learns ([`tap`]), takes commands between two passes
//! and leaves its figures where they can be read ([`link`]). Everything else runs on a thread of its own, on one
//! single-threaded runtime ([`server`]): the API ([`api`]), the webhook, metrics, signals and the watchdog.

pub mod api;
pub mod figures;
pub mod in_calls;
pub mod link;
pub mod past;
pub mod peer;
pub mod reload;
pub mod server;
pub mod tap;
