//! Which container a task belongs to: cgroup paths, the registry of cgroups and containers, the runtimes' set-up phase.

pub mod cgroup_path;
pub mod phase;
pub mod registry;
