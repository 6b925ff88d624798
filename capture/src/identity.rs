//! Which container a task belongs to: cgroup paths, the registry of cgroups and containers, the lineage of runtimes
//! where there is no cgroup, who may say what of a container, the runtimes' set-up phase.

pub mod announce;
pub mod cgroup_path;
pub mod claims;
pub mod lineage;
pub mod phase;
pub mod registry;
