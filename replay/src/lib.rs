//! `afterimage`: opens recordings of live and long-deleted containers, for people and for scripts.
#![forbid(unsafe_code)]

pub mod analysis;
pub mod cli;
pub mod crash;
pub mod density;
pub mod events;
mod evidence;
pub mod exit;
pub mod failure;
pub mod output;
pub mod progress;
pub mod time;
pub mod trace;
pub mod tui;
