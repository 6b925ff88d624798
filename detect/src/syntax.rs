//! The text of a filter and its tree: parsing, printing, and what is wrong with it.
//!
//! Two dialects share one tree. [`Mode::Strict`] is Falco's condition grammar as rule files have it.
//! [`Mode::Lenient`] is the filter bar's and `grep`'s: besides all of Falco's it knows `&& || ! ~`, conditions side
//! by side (and), bare text, units, ranges, `not in`, `$saved` filters and the scopes `within under near seq time
//! life`.

pub mod ast;
mod cursor;
mod error;
pub mod instant;
mod literal;
mod parse;
mod print;
mod scope;

pub(crate) use error::nearest;
pub use error::{FilterError, FilterErrorKind};
pub use literal::parse_list_item;
pub use parse::{parse, parse_term_prefix};
pub use print::{print, print_term};

/// The dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Rule files: exactly Falco's grammar (and `dirname`).
    Strict,
    /// The filter bar and `grep`.
    Lenient,
}

/// Longest filter read in the bar. Bytes.
pub const MAX_BAR: usize = 1 << 16;
/// Longest condition read from a rule file. Bytes.
pub const MAX_CONDITION: usize = 1 << 20;
