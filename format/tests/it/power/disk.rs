//! A disk that remembers: every write and every flush that a file system on it makes, in order. The kernel reaches it as
//! a loop device on a file of a FUSE file system of ours, because device-mapper, nbd and ublk are missing on the
//! machines that this is tested on.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite,
    Request, WriteFlags,
};

use crate::generate::Random;

/// Bytes of the disk; nearly all of them are never written.
pub(super) const SIZE: u64 = 192 << 20;
/// What a device writes whole or not at all.
const SECTOR: usize = 512;
const BLOCK: usize = 4096;
const NAME: &str = "disk";
const FILE: INodeNo = INodeNo(2);

/// What the file system asked of the disk.
#[derive(Clone)]
pub(super) enum Op {
    Write { offset: u64, bytes: Vec<u8> },
    Flush,
}

/// Contents: blocks that were ever written.
#[derive(Clone, Default)]
pub(super) struct Contents(BTreeMap<u64, Box<[u8; BLOCK]>>);

impl Contents {
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let (block, inside) = (at / BLOCK as u64, (at % BLOCK as u64) as usize);
            let room = (BLOCK - inside).min(bytes.len() - done);
            let block = self.0.entry(block).or_insert_with(|| Box::new([0; BLOCK]));
            block[inside..inside + room].copy_from_slice(&bytes[done..done + room]);
            done += room;
        }
    }

    fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let mut done = 0;
        while done < length {
            let at = offset + done as u64;
            let inside = (at % BLOCK as u64) as usize;
            let room = (BLOCK - inside).min(length - done);
            if let Some(block) = self.0.get(&(at / BLOCK as u64)) {
                bytes[done..done + room].copy_from_slice(&block[inside..inside + room]);
            }
            done += room;
        }
        bytes
    }

    /// Writes an image of it.
    pub(super) fn image(&self, path: &Path) -> io::Result<()> {
        let file = File::create(path)?;
        file.set_len(SIZE)?;
        self.0.iter().try_for_each(|(number, block)| file.write_all_at(&block[..], number * BLOCK as u64))
    }

    /// What is on the disk after the power was cut: of what was not flushed each write may be there, in any order, and
    /// one may be there in part.
    pub(super) fn cut(&self, unflushed: &[Op], random: &mut Random) -> Self {
        let mut after = self.clone();
        // All, none, most or few.
        let share = [0, 100, 90, 50, 10][random.below(5) as usize];
        for op in unflushed {
            let Op::Write { offset, bytes } = op else { continue };
            if random.below(100) >= share {
                continue;
            }
            let sectors = bytes.len() / SECTOR;
            let kept = if random.below(8) == 0 {
                random.below(sectors as u64 + 1) as usize * SECTOR
            } else {
                bytes.len()
            };
            after.write(*offset, &bytes[..kept]);
        }
        after
    }
}

#[derive(Default)]
struct State {
    contents: Contents,
    log: Vec<Op>,
}

/// The disk, as the FUSE file system and the test see it.
#[derive(Clone, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much has been asked of it so far.
    pub(super) fn position(&self) -> usize {
        self.state().log.len()
    }

    pub(super) fn log(&self) -> Vec<Op> {
        self.state().log.clone()
    }

    /// What is on it now becomes its beginning.
    pub(super) fn begin(&self) -> Contents {
        let mut state = self.state();
        state.log.clear();
        state.contents.clone()
    }
}

fn attributes(inode: INodeNo) -> FileAttr {
    let (kind, perm, size) =
        if inode == FILE { (FileType::RegularFile, 0o600, SIZE) } else { (FileType::Directory, 0o700, 0) };
    FileAttr {
        ino: inode,
        size,
        blocks: size / 512,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        flags: 0,
        blksize: BLOCK as u32,
    }
}

const FOR_EVER: Duration = Duration::from_secs(3600);

impl Filesystem for Disk {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == NAME {
            reply.entry(&FOR_EVER, &attributes(FILE), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&FOR_EVER, &attributes(inode));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // Nothing is held back by a cache in between.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let there = SIZE.saturating_sub(offset).min(u64::from(size));
        reply.data(&self.state().contents.read(offset, there as usize));
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut state = self.state();
        state.contents.write(offset, data);
        state.log.push(Op::Write { offset, bytes: data.to_vec() });
        reply.written(data.len() as u32);
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.state().log.push(Op::Flush);
        reply.ok();
    }

    fn fallocate(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, _: u64, _: i32, reply: ReplyEmpty) {
        reply.error(Errno::EOPNOTSUPP);
    }
}

/// A disk with its file, until dropped.
pub(super) struct Plugged {
    pub(super) disk: Disk,
    session: Option<BackgroundSession>,
}

impl Plugged {
    pub(super) fn at(dir: &Path) -> Self {
        let disk = Disk::default();
        let mut config = Config::default();
        config.mount_options.push(fuser::MountOption::FSName("afterimage-test-disk".into()));
        let session =
            fuser::spawn_mount(disk.clone(), dir, &config).expect("a FUSE file system can be mounted");
        Self { disk, session: Some(session) }
    }

    pub(super) fn pull(mut self) {
        self.session.take().unwrap().umount_and_join().expect("the FUSE file system is unmounted");
    }
}

/// A mounted ext4, until dropped.
pub(super) struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    pub(super) fn new(image: &Path, at: &'a Path, options: &str) -> Self {
        run(
            "mount",
            &[
                "-t",
                "ext4",
                "-o",
                &format!("loop,{options}"),
                &image.display().to_string(),
                &at.display().to_string(),
            ],
        );
        Self(at)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0).status();
        if !std::thread::panicking() {
            assert!(unmounted.is_ok_and(|status| status.success()), "`{}` is unmounted", self.0.display());
        }
    }
}

pub(super) fn run(program: &str, args: &[&str]) {
    let output =
        Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
