//! Tests of the model against programs that are not ours.
#![cfg(target_os = "linux")]

mod strace;
mod typed;
