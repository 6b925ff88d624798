//! The recorder against the running kernel. Everything here needs root and eBPF, and says so by name when it has not.

mod bad_input;
mod bench;
mod conservation;
mod control;
mod degrade;
mod doctor;
mod evasion;
mod faults;
mod harness;
mod helm;
mod http;
mod incident;
mod keyframes;
mod kill;
mod live;
mod packaging;
mod privilege;
mod proc_states;
mod redaction;
mod rules;
mod runtimes;
mod storm;
mod strace;
mod supervised;
mod systemd;
mod thousand;
