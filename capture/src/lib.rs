//! `afterimaged`: records what every container does at the system-call boundary.
#![deny(unsafe_code)]

pub mod artifacts;
pub mod bpffs;
pub mod btf;
pub mod cli;
pub mod config;
pub mod control;
pub mod cost;
pub mod doctor;
pub mod drain;
pub mod guard;
pub mod helpers;
pub mod host;
pub mod http;
pub mod identity;
pub mod live;
pub mod losses;
mod mapping;
pub mod metadata;
pub mod metrics;
pub mod privilege;
pub mod procfs;
pub mod programs;
pub mod pulse;
pub mod recorder;
pub mod redact;
pub mod ring;
pub mod sink;
pub mod slots;
pub mod snapshot;
pub mod specs;
pub mod systemd;
pub mod takeover;
pub mod translate;
pub mod trigger;

pub mod webhook;
pub mod witness;
