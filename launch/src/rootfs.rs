//! Root file systems for containers, made from what the host has.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{CWD, Dev, FileType, Mode, makedev};

use crate::LaunchError;

const DIRECTORIES: [&str; 12] =
    ["bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr/bin", "var/log", "var/tmp"];

const FILES: [(&str, &str); 4] = [
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n"),
    ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("etc/os-release", "ID=afterimage-test\nNAME=\"Afterimage test root\"\n"),
];

/// Name, major and minor number of the character devices that every container has.
const DEVICES: [(&str, u32, u32); 6] = [
    ("dev/null", 1, 3),
    ("dev/zero", 1, 5),
    ("dev/full", 1, 7),
    ("dev/random", 1, 8),
    ("dev/urandom", 1, 9),
    ("dev/tty", 5, 0),
];

/// Fills the directory `dir` with a small root file system around the host's static busybox.
///
/// Every applet is a hard link in `/bin`, as in busybox's official image: the name that was run is then the name
/// that the kernel knows the executable by. The devices in `/dev` need root; without it they are left out.
pub fn busybox(dir: &Path) -> Result<(), LaunchError> {
    let host = host_busybox()?;
    for name in DIRECTORIES {
        let path = dir.join(name);
        fs::create_dir_all(&path).map_err(at(&path))?;
    }
    for name in ["tmp", "var/tmp"] {
        let path = dir.join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o1777)).map_err(at(&path))?;
    }
    for (name, text) in FILES {
        let path = dir.join(name);
        fs::write(&path, text).map_err(at(&path))?;
    }
    symlink("/proc/self/fd", dir.join("dev/fd")).or_else(allow_existing).map_err(at(&dir.join("dev/fd")))?;
    make_devices(dir)?;
    install(&host, dir)
}

fn install(host: &Path, dir: &Path) -> Result<(), LaunchError> {
    let inside = dir.join("bin/busybox");
    copy_program(host, &inside)?;
    let list = Command::new(host).arg("--list").output().map_err(at(host))?;
    for applet in String::from_utf8_lossy(&list.stdout).lines().filter(|name| *name != "busybox") {
        let link = dir.join("bin").join(applet);
        fs::hard_link(&inside, &link).or_else(allow_existing).map_err(at(&link))?;
    }
    Ok(())
}

/// Puts the host's `/bin/sh`, with the libraries it needs, in place of busybox's shell.
///
/// Debian's busybox runs its own applets inside the shell, without an exec and under the shell's name, which is not
/// what a container of any other image does.
pub fn host_shell(dir: &Path) -> Result<(), LaunchError> {
    let shell = Path::new("/bin/sh");
    let libraries = Command::new("ldd").arg(shell).output().map_err(at(Path::new("ldd")))?;
    for library in library_paths(&String::from_utf8_lossy(&libraries.stdout)) {
        let inside = dir.join(library.trim_start_matches('/'));
        let parent = inside.parent().unwrap_or(dir);
        fs::create_dir_all(parent).map_err(at(parent))?;
        copy_program(Path::new(library), &inside)?;
    }
    let inside = dir.join("bin/sh");
    match fs::remove_file(&inside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&inside)(error)),
        _ => copy_program(shell, &inside),
    }
}

/// The files that `ldd` names: the word after `=>`, or the only word of a line.
fn library_paths(ldd: &str) -> Vec<&str> {
    ldd.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/'))).collect()
}

/// Copies a program into a root, readable and executable for all.
pub fn copy_program(from: &Path, to: &Path) -> Result<(), LaunchError> {
    let bytes = fs::read(from).map_err(at(from))?;
    let mut file = fs::File::create(to).map_err(at(to))?;
    file.write_all(&bytes).map_err(at(to))?;
    file.set_permissions(fs::Permissions::from_mode(0o755)).map_err(at(to))
}

fn make_devices(dir: &Path) -> Result<(), LaunchError> {
    for (name, major, minor) in DEVICES {
        let (path, device): (PathBuf, Dev) = (dir.join(name), makedev(major, minor));
        match rustix::fs::mknodat(CWD, &path, FileType::CharacterDevice, Mode::from_raw_mode(0o666), device) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(rustix::io::Errno::PERM) => return Ok(()),
            Err(error) => return Err(at(&path)(error.into())),
        }
        // The mode given to mknod went through the umask.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).map_err(at(&path))?;
    }
    Ok(())
}

/// The host's busybox, if it runs without shared libraries.
fn host_busybox() -> Result<PathBuf, LaunchError> {
    let places = [Path::new("/bin/busybox"), Path::new("/usr/bin/busybox")];
    places
        .into_iter()
        .find(|path| is_static(path).unwrap_or(false))
        .map(Path::to_owned)
        .ok_or_else(|| LaunchError::NoBusybox { path: places[0].to_owned() })
}

/// Says whether `path` is a 64-bit little-endian ELF file that asks for no dynamic loader.
fn is_static(path: &Path) -> io::Result<bool> {
    const PT_INTERP: u32 = 3;
    let file = fs::read(path)?;
    let word = |at: usize, len: usize| -> Option<u64> {
        let bytes = file.get(at..at.checked_add(len)?)?;
        Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    let interpreted = || -> Option<bool> {
        let (table, size, count) =
            (word(0x20, 8)? as usize, word(0x36, 2)? as usize, word(0x38, 2)? as usize);
        let mut types = (0..count).map(|index| word(table.checked_add(index * size)?, 4));
        Some(types.any(|kind| kind == Some(u64::from(PT_INTERP))))
    };
    Ok(file.starts_with(b"\x7fELF\x02\x01") && interpreted() == Some(false))
}

fn allow_existing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}

fn at(path: &Path) -> impl Fn(io::Error) -> LaunchError {
    let path = path.to_owned();
    move |source| LaunchError::Rootfs { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_and_a_script_are_not_static() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("script");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        assert!(!is_static(&script).unwrap());
        // The test itself is linked dynamically.
        assert!(!is_static(&std::env::current_exe().unwrap()).unwrap());
        assert!(is_static(&dir.path().join("absent")).is_err());
    }

    #[test]
    fn libraries_are_found_in_what_ldd_prints() {
        let ldd = "\tlinux-vdso.so.1 (0x00007ffe)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                   \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(library_paths(ldd), ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
        assert!(library_paths("\tnot a dynamic executable\n").is_empty());
    }

    #[test]
    fn a_cut_program_is_not_static() {
        let dir = tempfile::tempdir().unwrap();
        let cut = dir.path().join("cut");
        let header = &fs::read(std::env::current_exe().unwrap()).unwrap()[..0x30];
        fs::write(&cut, header).unwrap();
        assert!(!is_static(&cut).unwrap());
    }
}
