//! The filter language over recorded events and the rule engine that uses it.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod codes;
mod compare;
mod compile;
mod context;
mod expand;
pub mod facts;
mod fields;
mod filter;
mod glob;
mod network;
mod path_set;
mod prefilter;
mod program;
pub mod rules;
mod shape;
mod survey;
pub mod syntax;
mod term;
mod tracker;
mod value;

pub use compile::FilterWarning;
pub use context::{EventContext, Frame};
pub use fields::{ArgRule, FieldDef, FieldRef, fields, lookup};
pub use filter::{Filter, Saved};
pub use glob::Glob;
pub use network::Network;
pub use prefilter::{Prefilter, Verdict};
pub use rules::RuleSet;
pub use syntax::{FilterError, FilterErrorKind, Mode};
pub use tracker::Tracker;
pub use value::{Kind, Multi, Value};
