//! The filter language over recorded events and the rule engine that uses it.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod blocks;
mod codes;
mod compare;
mod compile;
pub mod complete;
mod context;
mod ended;
mod expand;
mod explain;
pub mod facts;
mod fields;
mod filter;
mod glob;
mod greetings;
mod modes;
mod needle;
mod network;
mod of_process;
mod path_set;
mod prefilter;
mod program;
mod reference;
mod roots;
mod rows;
pub mod rules;
mod shape;
mod shared;
mod sieve;
mod survey;
pub mod syntax;
mod term;
mod tracker;
mod value;
mod warning;

pub use complete::complete;
pub use context::{EventContext, Frame, Image, Told, follows};
pub use ended::Ended;
pub use explain::Explanation;
pub use fields::{ArgRule, FieldDef, FieldRef, fields, lookup};
pub use filter::{Filter, Saved};
pub use glob::Glob;
pub use network::Network;
pub use of_process::OfProcess;
pub use prefilter::{Prefilter, Verdict};
pub use reference::reference;
pub use roots::rooted;
pub use rows::{Bits, RowFilter, Rows, RuleRows};
pub use rules::RuleSet;
pub use sieve::Sieve;
pub use syntax::{FilterError, FilterErrorKind, Mode};
pub use tracker::Tracker;
pub use value::{Kind, Multi, Value};
pub use warning::FilterWarning;
