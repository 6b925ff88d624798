//! The filter language over recorded events and the rule engine that uses it.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod fields;
pub mod syntax;
