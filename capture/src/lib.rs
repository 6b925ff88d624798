//! `afterimaged`: records what every container does at the system-call boundary.
#![deny(unsafe_code)]

pub mod btf;
pub mod programs;
