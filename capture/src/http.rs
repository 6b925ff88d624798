//! HTTP/1.1 as the control API, the webhook and the metrics serve it, with bounds on everything a client can make large
//! or slow.

pub mod body;
pub mod client;
pub mod pem;
pub mod places;
pub mod query;
pub mod reply;
pub mod serve;
pub mod tls;
