//! Makes short-lived containers without a container runtime, as fast as the kernel allows.
//!
//! A container made here is what the recorder sees of any other: a cgroup on the v2 hierarchy, named as a
//! runtime would name it ([`Style`]), and one process in new pid, mount, cgroup, UTS, IPC and, if asked, network
//! namespaces. The set-up between `clone3` and `execve` is a fixed sequence of system calls, and everything that
//! was made is gone when [`Launcher::run`] returns: the process, the cgroup, an overlay root. Tests use it as the
//! witness that is not the recorder: the ids that it returns are the truth to compare a recording with.

mod cgroup;
mod child;
mod error;
mod id;
mod launcher;
pub mod rootfs;
mod style;

pub use cgroup::Hierarchy;
pub use error::{LaunchError, Stage};
pub use id::{ContainerId, PodUid};
pub use launcher::{ExitStatus, Join, Launcher, Outcome, Root, Running, Stdio};
pub use style::{CgroupPath, Style};
