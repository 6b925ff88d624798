//! Records and configuration shared by the eBPF programs and the recorder.
//!
//! Both sides are built from this crate, so the layouts may change with every build; the trace file may not:
//! `capture/src/translate.rs` is the only place that knows both. Rules: `repr(C)`, no padding, no `bool`, no enum,
//! no `usize`; sizes and offsets are asserted here, for both targets.
#![no_std]
#![deny(missing_docs)]

pub mod config;
pub mod lineage;
pub mod offsets;
pub mod record;
pub mod slot;
pub mod spec;
