//! Recordings as verbs use them: which to open, which container is meant, what became of it, what is missing.

pub mod alerts;
pub mod asked;
mod bodies;
pub mod carried;
mod gaps;
mod images;
pub mod incident;
mod life;
mod lookup;
mod named;
mod names;
mod open;
mod whole;

pub use bodies::changed_alerts;
pub use gaps::Gaps;
pub use life::{Ended, Life, Partial, State, followed_from};
pub use lookup::{Found, Target, copies, find, find_all};
pub use named::named;
pub(crate) use named::{CASE_LIMIT, case_file, marks};
pub use names::{display_name, id, image, label, name, pod, short_id};
pub(crate) use open::{STDIN, spool};
pub use open::{StoreArgs, Trace, files_in};
pub use whole::Tick;
