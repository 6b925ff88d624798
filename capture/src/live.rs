//! Events while they happen, for rules and for whoever looks on.
//!
//! The recording thread copies what is wanted into batches ([`feed`]) and hands them over without waiting. One thread
//! ([`watch`]) keeps the state that filters ask about, evaluates rules ([`rules`]) and serves subscribers. When it falls
//! behind, recording goes on as before: what does not fit the queue is not looked at, and counted; what processes and
//! containers begin and end is handed over even then, so that the state stays sound.

pub mod batch;
pub mod feed;
pub mod output;
pub mod rules;
pub mod show;
pub mod wanted;
pub mod watch;
