//! What can go wrong while a container is made.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a container could not be made, run or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The system has no random numbers to draw an id from.
    #[error("no random bytes for a container id: {reason}")]
    Random {
        /// What the system said.
        reason: String,
    },
    /// No cgroup v2 hierarchy is mounted, and none can be.
    #[error("no cgroup v2 hierarchy: `{call}` failed (run as root, on Linux 5.7 or later)")]
    NoHierarchy {
        /// The call that failed.
        call: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A cgroup could not be made, entered or removed.
    #[error("`{call}` of cgroup `{cgroup}` failed")]
    Cgroup {
        /// The call that failed.
        call: &'static str,
        /// The cgroup, from the hierarchy's root.
        cgroup: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A system call of the launcher itself failed.
    #[error("`{call}` failed")]
    Call {
        /// The call that failed.
        call: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The container's process failed before it ran the program.
    #[error("container of `{program}` stopped while it {stage}")]
    Setup {
        /// The program that was to run.
        program: String,
        /// How far the set-up came.
        stage: Stage,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An argument, path or variable holds a NUL byte, or there are no arguments at all.
    #[error("not a command line: `{text}`")]
    NotACommand {
        /// The text that cannot be handed to `execve`.
        text: String,
    },
    /// A path that overlayfs would take for its own option syntax.
    #[error("root `{}` has a `:`, `,` or backslash in its path, which overlayfs takes for an option", path.display())]
    OverlayPath {
        /// The path.
        path: PathBuf,
    },
    /// No static busybox to make a root from.
    #[error("no static busybox at `{}`: install it with `apt-get install busybox-static`", path.display())]
    NoBusybox {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The root file system could not be written.
    #[error("root file system `{}` could not be made", path.display())]
    Rootfs {
        /// The file or directory that failed.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A step of the container's process between `clone3` and `execve`, in the order they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Waits until the launcher has moved it into its cgroup.
    Join,
    /// Makes its mounts private.
    PrivateMounts,
    /// Brings up the loopback device of its network namespace.
    Loopback,
    /// Sets its host name.
    HostName,
    /// Mounts the writable layer of its root.
    UpperLayer,
    /// Mounts the overlay.
    Overlay,
    /// Enters its root.
    Root,
    /// Mounts `/proc`.
    Proc,
    /// Takes over standard input, output and error.
    Stdio,
    /// Runs the program.
    Exec,
}

impl Stage {
    const ALL: [Self; 10] = [
        Self::Join,
        Self::PrivateMounts,
        Self::Loopback,
        Self::HostName,
        Self::UpperLayer,
        Self::Overlay,
        Self::Root,
        Self::Proc,
        Self::Stdio,
        Self::Exec,
    ];

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| *stage as u8 == byte)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Join => "waited for its cgroup",
            Self::PrivateMounts => "made its mounts private",
            Self::Loopback => "brought up its loopback device",
            Self::HostName => "set its host name",
            Self::UpperLayer => "mounted its writable layer",
            Self::Overlay => "mounted its overlay root",
            Self::Root => "entered its root",
            Self::Proc => "mounted /proc",
            Self::Stdio => "took over its standard streams",
            Self::Exec => "ran the program",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_survives_the_pipe() {
        for (byte, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(Stage::from_byte(byte as u8), Some(stage));
        }
        assert_eq!(Stage::from_byte(Stage::ALL.len() as u8), None);
    }
}
