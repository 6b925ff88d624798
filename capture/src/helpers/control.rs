//! What the control process and the capture process say to each other.
//!
//! The control process speaks with the world: it takes connections, checks who it is, parses what came, and asks. What
//! it asks is answered by number. It holds nothing that matters: killed, it is replaced, and who waited asks again.

pub mod back;
pub mod front;
pub mod gate;
mod wire;

pub use wire::Alert;

use bincode::{Decode, Encode};

use crate::trigger::marks::Mark;

/// What the control process says.
#[derive(Debug, Encode, Decode)]
pub enum Ask {
    /// A request to the API.
    Call(u64, Call),
    /// Alerts.
    Submit(u64, Submission),
    /// Nobody waits for the answer any more.
    Forget(u64),
    /// Secrets and outputs of the new configuration can be used, or why not.
    Prepared(u64, Result<(), String>),
    /// So many hits were not delivered.
    Undelivered(u64),
    /// How far was this watched file read?
    Marked(u64, String),
    /// It was read so far, and what it said was taken.
    Mark(String, Mark),
}

/// A request to the API that may be made, by one who may.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Call {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub uri: String,
    /// Who makes it.
    pub from: String,
    /// Its body.
    pub body: Vec<u8>,
    /// Answers of the webhook by status, for the metrics.
    pub answers: Vec<(u16, u64)>,
}

/// Alerts that were understood, with the body that they came in.
#[derive(Debug, Encode, Decode)]
pub struct Submission {
    /// What they say.
    pub alerts: Vec<Alert>,
    /// The body.
    pub body: Vec<u8>,
    /// From where.
    pub from: String,
    /// When: nanoseconds since 1970.
    pub received: i64,
    /// How long to wait for what becomes of them. Milliseconds.
    pub wait: Option<u64>,
}

/// What the capture process says.
#[derive(Debug, Encode, Decode)]
pub enum Tell {
    /// The answer to a call.
    Answer(u64, Answer),
    /// More of an answer that goes on.
    More(u64, Vec<u8>),
    /// The end of an answer that went on.
    End(u64),
    /// A hit for the outputs.
    Deliver(String),
    /// Read the configuration again and make ready what it names.
    Prepare(u64),
    /// Use what was made ready.
    Install(u64),
}

/// An answer.
#[derive(Debug, Clone, Encode, Decode)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// What its body is.
    pub kind: String,
    /// Its body, or the beginning.
    pub body: Vec<u8>,
    /// There will be more.
    pub goes_on: bool,
}
