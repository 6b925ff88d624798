//! The events of a container in order of time, as rows: described, restarted calls folded, gaps in their places.
//!
//! The order of work: state (who the process is) sees every event; then set-up is hidden and the filter asked;
//! what is left is described, folded, and handed on.

mod facts;
mod filters;
mod fold;
mod roll;
mod row;
mod rows;
mod saved;
mod selection;
mod state;
mod walk;

use afterimage_format::{Event, EventFlags};
pub use facts::Teller;
pub(crate) use facts::record_type;
pub(crate) use filters::Asked;
pub use filters::{Filters, SATURATED, frame, frame_of, frame_with_names, with_images, with_whole};
pub use roll::roll;
pub use row::{COLUMNS, EventRow, GapRow};
pub use rows::count;
pub use saved::{SHIPPED, trees};
pub use state::state_at;
pub use walk::{Item, Options, Seen, walk};

/// Whether an event is shown: those of a container's set-up only where they are asked for.
pub fn is_shown(event: &Event<'_>, setup: bool) -> bool {
    setup || !event.flags.contains(EventFlags::SETUP)
}
