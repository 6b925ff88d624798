//! The events of a container in order of time, as rows: described, restarted calls folded, gaps in their places.
//!
//! The order of work: state (who the process is) sees every event; then set-up is hidden and the filter asked;
//! what is left is described, folded, and handed on.

mod filters;
mod fold;
mod roll;
mod row;
mod rows;
mod saved;
mod selection;
mod state;
mod walk;

pub(crate) use filters::Asked;
pub use filters::{Filters, frame, frame_with_names};
pub use roll::roll;
pub use row::{COLUMNS, EventRow, GapRow};
pub use rows::count;
pub use saved::{SHIPPED, trees};
pub use state::state_at;
pub use walk::{Item, Options, Seen, walk};
