//! Tests of `afterimage` as a user runs it.

mod staged;
mod terminal;
