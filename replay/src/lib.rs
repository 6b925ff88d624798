//! `afterimage`: opens recordings of live and long-deleted containers, for people and for scripts.
#![forbid(unsafe_code)]

pub mod tui;
