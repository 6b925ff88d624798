//! Moments and durations as people write and read them.
//!
//! Order and arithmetic use boot time; wall-clock time is derived through the recording's clock readings.

mod duration;
mod moment;
mod named;
mod zone;

pub use duration::{human, offset, parse as parse_duration};
pub use moment::{Frame, Moment, RangeArgs, Span};
pub(crate) use moment::{moment, shifted};
pub use named::{Named, Namer};
pub use zone::Clock;
