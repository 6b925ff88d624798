//! Which files the capture process reaches: its store, and what it reads. Opened files stay what they are.
//!
//! A thread under Landlock may no longer look at processes of others through `/proc`: what was there before recording
//! began is read before.

use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus,
};

/// The newest interface that is asked for: what a kernel does not have of it is left out.
const INTERFACE: ABI = ABI::V5;

/// Files and directories, with all that is in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Read, written, made and removed.
    pub written: Vec<PathBuf>,
    /// Read.
    pub read: Vec<PathBuf>,
}

/// What is left of TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tcp {
    /// Nothing.
    None,
    /// Connecting to others; what is listened on was opened before.
    Out,
}

impl Tcp {
    fn refused(self) -> BitFlags<AccessNet> {
        match self {
            Self::None => AccessNet::from_all(INTERFACE),
            Self::Out => AccessNet::BindTcp.into(),
        }
    }
}

/// Confines this thread, and those that it makes, to `files`, and its TCP to `tcp`.
///
/// # Errors
/// Why not, or why less, in words.
pub fn restrict(files: &Files, tcp: Tcp) -> Result<(), String> {
    let done = rules(files, tcp).map_err(|error| format!("files are not confined: Landlock: {error}"))?;
    match done {
        RulesetStatus::NotEnforced => {
            Err("files are not confined: this kernel has no Landlock, or it is off".to_owned())
        }
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

fn rules(files: &Files, tcp: Tcp) -> Result<RulesetStatus, RulesetError> {
    let write = AccessFs::from_all(INTERFACE) & !AccessFs::Execute;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(INTERFACE))?
        .handle_access(tcp.refused())?
        .create()?;
    for (paths, access) in [(&files.written, write), (&files.read, read)] {
        // What is not there needs no rule.
        for fd in paths.iter().filter_map(|path| PathFd::new(path).ok()) {
            ruleset = ruleset.add_rule(PathBeneath::new(fd, access))?;
        }
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

/// Whether this kernel confines files: asked of the kernel, by a thread that ends.
pub fn is_there() -> bool {
    let asked = std::thread::spawn(|| restrict(&Files::default(), Tcp::None).is_ok());
    asked.join().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io::ErrorKind};

    #[test]
    fn what_is_not_named_is_out_of_reach() {
        if !is_there() {
            println!("no Landlock here");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["store", "read", "other"] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("file"), name).unwrap();
        }
        let files = Files { written: vec![at("store")], read: vec![at("read"), at("absent")] };
        let root = dir.path().to_owned();
        std::thread::spawn(move || {
            let at = |name: &str| root.join(name);
            restrict(&files, Tcp::None).unwrap();
            let kind = |done: std::io::Result<()>| done.unwrap_err().kind();
            fs::write(at("store/new"), "x").unwrap();
            fs::create_dir(at("store/deep")).unwrap();
            fs::rename(at("store/new"), at("store/deep/newer")).unwrap();
            fs::remove_file(at("store/deep/newer")).unwrap();
            assert_eq!(fs::read(at("read/file")).unwrap(), b"read");
            assert_eq!(kind(fs::write(at("read/file"), "x")), ErrorKind::PermissionDenied);
            assert_eq!(kind(fs::read(at("other/file")).map(drop)), ErrorKind::PermissionDenied);
            assert_eq!(kind(fs::write(at("other/new"), "x")), ErrorKind::PermissionDenied);
        })
        .join()
        .unwrap();
    }
}
