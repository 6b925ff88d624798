//! From the kernel's records to the file's events: the only place that knows both.
//!
//! A record is hostile bytes as far as this file is concerned: each length is checked, what does not add up is an
//! error and becomes a counted loss.

use afterimage_capture_abi::record::{FieldHeader, Header, SockInfo, flags, kind, tag};
use afterimage_format::{
    Abi, BootNanos, Event, EventCode, EventFlags, Field, FieldFlags, FieldTag, MAX_ARGS, MAX_FIELDS, TaskKey,
};
use afterimage_model::syscalls::{self, NO_NUMBER, NO_SUCH_CALL};

use crate::specs::OPENS;

/// A record that cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Shorter than its own parts.
    #[error("record of {len} bytes is cut short")]
    Short {
        /// Its length.
        len: usize,
    },
    /// A kind that this recorder does not know.
    #[error("record of unknown kind {kind}")]
    Kind {
        /// Which.
        kind: u8,
    },
    /// More parts than an event can have.
    #[error("record has too many parts")]
    Parts,
}

/// `rt_sigreturn`, whose number the kernel hides.
const RT_SIGRETURN: u16 = 15;
/// What a call that a seccomp filter skipped is said to have returned.
const EPERM: i64 = -1;
/// Path of a kernel object that is below no root: a pipe, a memfd.
const UNROOTED: u8 = 0x80;
/// Stands for the beginning of a kernel path that is too long to be kept whole: what is left of it would look like another
/// file's path without. No whole one begins so.
const CUT: &[u8] = b"...";

/// A record's fixed part.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// As the program wrote it.
    pub header: Header,
    /// The CPU it was recorded on.
    pub cpu: u16,
    /// That CPU's sequence number.
    pub seq: u64,
}

/// Reads a record's header.
///
/// # Errors
/// [`Malformed::Short`].
pub fn head(record: &[u8]) -> Result<Head, Malformed> {
    let short = Malformed::Short { len: record.len() };
    let at = |offset: usize| -> Result<u64, Malformed> {
        let bytes = record.get(offset..offset + 8).ok_or(short)?;
        Ok(u64::from_ne_bytes(bytes.try_into().map_err(|_| short)?))
    };
    let first = record.get(..8).ok_or(short)?;
    let seq = at(16)?;
    let header = Header {
        kind: first[0],
        nargs: first[1],
        flags: u16::from_ne_bytes([first[2], first[3]]),
        nr: u32::from_ne_bytes([first[4], first[5], first[6], first[7]]),
        time: at(8)?,
        seq,
        pid_tgid: at(24)?,
        start: at(32)?,
        cgroup: at(40)?,
        ret: at(48)? as i64,
    };
    Ok(Head { header, cpu: (seq >> 48) as u16, seq: seq & 0xffff_ffff_ffff })
}

/// Where a field's bytes are.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// In the record.
    Record(usize, usize),
    /// Put together here.
    Made(usize, usize),
}

#[derive(Debug, Clone, Copy)]
struct Part {
    tag: FieldTag,
    flags: FieldFlags,
    full_len: u32,
    place: Place,
}

/// Room that translating reuses.
#[derive(Debug, Default)]
pub struct Translator {
    args: Vec<u64>,
    parts: Vec<Part>,
    made: Vec<u8>,
}

impl Translator {
    /// Calls `then` with the event a record tells.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn event<R>(&mut self, record: &[u8], then: impl FnOnce(&Event<'_>) -> R) -> Result<R, Malformed> {
        self.event_of(&head(record)?, record, then)
    }

    /// The same of a record whose fixed part was read already.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn event_of<R>(
        &mut self,
        head: &Head,
        record: &[u8],
        then: impl FnOnce(&Event<'_>) -> R,
    ) -> Result<R, Malformed> {
        let header = head.header;
        self.args.clear();
        self.parts.clear();
        self.made.clear();
        let (code, mut event_flags, hidden) = code(&header)?;
        let numbers = size_of::<Header>();
        let fields = numbers + usize::from(header.nargs) * 8;
        let short = Malformed::Short { len: record.len() };
        let words = record.get(numbers..fields).ok_or(short)?;
        self.args.extend(words.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)));
        if self.args.len() > MAX_ARGS {
            return Err(Malformed::Parts);
        }
        if code.as_syscall().is_some() && code != NO_SUCH_CALL {
            self.args.truncate(syscalls::arg_count(code).max(usize::from(hidden.is_some())));
        }
        self.args.extend(hidden);
        if code == EventCode::IN_CALL {
            self.in_call(&header);
        }
        if header.flags & flags::OVERFLOW != 0 {
            event_flags = event_flags.with(EventFlags::INCOMPLETE);
        }
        if fields == record.len() {
            // Numbers alone, as most calls have.
            let is_denied =
                header.flags & flags::SECCOMP != 0 && syscalls::is_no_result(code, &self.args, header.ret);
            return Ok(then(&self.assembled(head, code, event_flags, &[], is_denied)));
        }
        self.fields(record, fields)?;
        let is_denied = header.flags & flags::SECCOMP != 0 && self.was_not_made(code, header.ret);
        if self.parts.iter().any(|part| part.flags.contains(FieldFlags::FAULT)) {
            event_flags = event_flags.with(EventFlags::INCOMPLETE);
        }
        if code.as_syscall().is_some() && self.claims_another_path(record) {
            event_flags = event_flags.with(EventFlags::DIFFERS);
        }
        let mut list = [EMPTY; MAX_FIELDS];
        for (slot, part) in list.iter_mut().zip(&self.parts) {
            let bytes = match part.place {
                Place::Record(from, to) => record.get(from..to),
                Place::Made(from, to) => self.made.get(from..to),
            };
            let bytes = bytes.ok_or(short)?;
            *slot = Field { tag: part.tag, flags: part.flags, full_len: part.full_len, bytes };
        }
        let fields = list.get(..self.parts.len()).ok_or(Malformed::Parts)?;
        Ok(then(&self.assembled(head, code, event_flags, fields, is_denied)))
    }

    /// Whether a call under a seccomp filter has a result that it cannot have, as what the filter skipped has; or one that opens
    /// has none that the kernel knows of.
    fn was_not_made(&self, code: EventCode, ret: i64) -> bool {
        let opened_nothing = || {
            let has_path = self.parts.iter().any(|part| part.tag == FieldTag::KPATH);
            syscalls::is_own_number(code, ret) && OPENS.contains(&syscalls::base_name(code)) && !has_path
        };
        syscalls::is_no_result(code, &self.args, ret) || opened_nothing()
    }

    /// The event of a head and what was read behind it; of a call that a filter skipped, as one that failed.
    fn assembled<'e>(
        &'e self,
        head: &Head,
        code: EventCode,
        flags: EventFlags,
        fields: &'e [Field<'e>],
        is_denied: bool,
    ) -> Event<'e> {
        let header = &head.header;
        let (flags, ret) =
            if is_denied { (flags.with(EventFlags::DENIED), EPERM) } else { (flags, header.ret) };
        Event {
            time: BootNanos(header.time),
            duration: None,
            task: TaskKey {
                tgid: (header.pid_tgid >> 32) as u32,
                tid: header.pid_tgid as u32,
                start: BootNanos(header.start),
            },
            code,
            flags,
            cpu: head.cpu,
            ret,
            args: &self.args,
            fields,
        }
    }

    /// The numbers of a call that has not returned: what it is, then its own arguments.
    fn in_call(&mut self, header: &Header) {
        let (call, ..) = call_code(header);
        self.args.truncate(syscalls::arg_count(call));
        self.args.insert(0, u64::from(call.0));
    }

    fn fields(&mut self, record: &[u8], mut at: usize) -> Result<(), Malformed> {
        const HEAD: usize = size_of::<FieldHeader>();
        let short = Malformed::Short { len: record.len() };
        while at < record.len() {
            let head = record.get(at..at + HEAD).ok_or(short)?;
            let field = FieldHeader {
                tag: head[0],
                flags: head[1],
                len: u16::from_ne_bytes([head[2], head[3]]),
                full_len: u32::from_ne_bytes([head[4], head[5], head[6], head[7]]),
            };
            let from = at + HEAD;
            let to = from + usize::from(field.len);
            let bytes = record.get(from..to).ok_or(short)?;
            if field.tag == tag::SOCK {
                self.socket(bytes);
            } else if field.tag & tag::REVERSED != 0 {
                self.path(field, bytes);
            } else {
                let flags = FieldFlags(field.flags & 3);
                let full_len = field.full_len.max(u32::from(field.len));
                self.parts.push(Part {
                    tag: FieldTag(field.tag),
                    flags,
                    full_len,
                    place: Place::Record(from, to),
                });
            }
            if self.parts.len() > MAX_FIELDS {
                return Err(Malformed::Parts);
            }
            at = from + usize::from(field.len).next_multiple_of(8);
        }
        Ok(())
    }

    fn bytes<'a>(&'a self, record: &'a [u8], tag: FieldTag) -> Option<&'a [u8]> {
        match self.parts.iter().find(|part| part.tag == tag)?.place {
            Place::Record(from, to) => record.get(from..to),
            Place::Made(from, to) => self.made.get(from..to),
        }
    }

    /// Whether the path in the program's memory does not name what the kernel opened. Symbolic links make honest
    /// differences: the flag says that the two are not the same, not that somebody lied.
    fn claims_another_path(&self, record: &[u8]) -> bool {
        let (Some(claimed), Some(kernel)) =
            (self.bytes(record, FieldTag::PATH), self.bytes(record, FieldTag::KPATH))
        else {
            return false;
        };
        // Nearly always they are the same.
        if claimed == kernel || claimed.is_empty() {
            return false;
        }
        if let Some(end) = kernel.strip_prefix(CUT) {
            let clean = cleaned(claimed);
            let tail = last_of(&clean);
            let is_its_end = !claimed.starts_with(b"/") && end.ends_with(tail);
            return !is_its_end && !tail.ends_with(end);
        }
        if !kernel.starts_with(b"/") {
            return false;
        }
        let clean = cleaned(claimed);
        if claimed.starts_with(b"/") {
            return clean != kernel;
        }
        // A relative path must be how the kernel's ends.
        !kernel.ends_with(last_of(&clean))
    }

    fn make(&mut self, tag: FieldTag, flags: FieldFlags, from: usize) {
        let to = self.made.len();
        let full_len = (to - from) as u32 + u32::from(flags.contains(FieldFlags::TRUNCATED));
        self.parts.push(Part { tag, flags, full_len, place: Place::Made(from, to) });
    }

    /// Components from the leaf upwards become a path.
    fn path(&mut self, field: FieldHeader, bytes: &[u8]) {
        let from = self.made.len();
        let rooted = field.flags & UNROOTED == 0;
        let flags = FieldFlags(field.flags & 3);
        if rooted && flags != FieldFlags::default() {
            self.made.extend_from_slice(CUT);
        }
        // What follows the last NUL is nothing, or a name that was cut.
        if let Some(end) = bytes.iter().rposition(|&b| b == 0) {
            for component in bytes[..end].rsplit(|&b| b == 0) {
                if rooted {
                    self.made.push(b'/');
                }
                self.made.extend_from_slice(component);
            }
        }
        if rooted && self.made.len() == from {
            self.made.push(b'/');
        }
        self.make(FieldTag(field.tag & !tag::REVERSED), flags, from);
    }

    /// A socket's ends become two `struct sockaddr`.
    fn socket(&mut self, bytes: &[u8]) {
        let Some(info) = sock_info(bytes) else { return };
        for (tag, port, address) in
            [(FieldTag::LOCAL, info.local_port, info.local), (FieldTag::PEER, info.peer_port, info.peer)]
        {
            let from = self.made.len();
            self.made.extend_from_slice(&info.family.to_ne_bytes());
            self.made.extend_from_slice(&port.to_be_bytes());
            match info.family {
                AF_INET => {
                    self.made.extend_from_slice(&address[..4]);
                    self.made.extend_from_slice(&[0; 8]);
                }
                AF_INET6 => {
                    self.made.extend_from_slice(&[0; 4]);
                    self.made.extend_from_slice(&address);
                    self.made.extend_from_slice(&[0; 4]);
                }
                _ => {
                    self.made.truncate(from);
                    return;
                }
            }
            self.make(tag, FieldFlags::default(), from);
        }
    }
}

/// A path without empty parts, `.` and `..`; of a relative path that climbs above its beginning, what is above is cut
/// off at a NUL.
fn cleaned(path: &[u8]) -> Vec<u8> {
    let rooted = path.starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    let mut climbed = false;
    for part in path.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => climbed |= parts.pop().is_none(),
            part => parts.push(part),
        }
    }
    let mut out = Vec::with_capacity(path.len() + 1);
    if climbed && !rooted {
        out.push(0);
    }
    for part in parts {
        out.push(b'/');
        out.extend_from_slice(part);
    }
    if out.is_empty() {
        out.push(b'/');
    }
    out
}

/// Of a path as [`cleaned`] gives it, where it climbs what follows, else all.
fn last_of(clean: &[u8]) -> &[u8] {
    clean.rsplit(|&b| b == 0).next().unwrap_or(&[])
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const EMPTY: Field<'static> = Field { tag: FieldTag(0), flags: FieldFlags(0), full_len: 0, bytes: &[] };

fn sock_info(bytes: &[u8]) -> Option<SockInfo> {
    let half = |at: usize| Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    Some(SockInfo {
        family: half(0)?,
        local_port: half(2)?,
        peer_port: half(4)?,
        kind: half(6)?,
        local: bytes.get(8..24)?.try_into().ok()?,
        peer: bytes.get(24..40)?.try_into().ok()?,
        state: 0,
        reserved: 0,
    })
}

/// The event's code, its flags, and for numbers that fit no table the number itself.
fn code(header: &Header) -> Result<(EventCode, EventFlags, Option<u64>), Malformed> {
    let code = match header.kind {
        kind::SYSCALL => return Ok(call_code(header)),
        kind::FORK => EventCode::FORK,
        kind::EXEC => EventCode::EXEC,
        kind::EXIT => EventCode::EXIT,
        kind::CGROUP_MKDIR => EventCode::CGROUP_MKDIR,
        kind::CGROUP_RMDIR => EventCode::CGROUP_RMDIR,
        kind::CGROUP_ATTACH => EventCode::CGROUP_ATTACH,
        kind::PROCESS => EventCode::PROCESS,
        kind::IN_CALL => EventCode::IN_CALL,
        kind::URING_SUBMIT => EventCode::URING_SUBMIT,
        kind::URING_COMPLETE => EventCode::URING_COMPLETE,
        kind => return Err(Malformed::Kind { kind }),
    };
    Ok((code, EventFlags::default(), None))
}

fn call_code(header: &Header) -> (EventCode, EventFlags, Option<u64>) {
    const X32_BIT: u32 = 0x4000_0000;
    const ENOSYS: i64 = -38;
    if header.nr == u32::MAX && header.ret == ENOSYS {
        // A program or its tracer asked for it. A return from a handler of a signal that came right behind another such call, too.
        return (NO_SUCH_CALL, EventFlags::default(), Some(NO_NUMBER));
    }
    if header.nr == u32::MAX {
        return (EventCode(RT_SIGRETURN), EventFlags::SIGRETURN, None);
    }
    let mut event_flags = EventFlags::default();
    // ERESTARTSYS and its kin: the call will return once more.
    if (-516..=-512).contains(&header.ret) {
        event_flags = EventFlags::RESTART;
    }
    if header.flags & flags::SECCOMP != 0 {
        event_flags = event_flags.with(EventFlags::SECCOMP);
    }
    let (abi, nr) = if header.flags & flags::COMPAT != 0 {
        (Abi::I386, header.nr)
    } else if header.nr & X32_BIT != 0 {
        (Abi::X32, header.nr & !X32_BIT)
    } else {
        (Abi::X86_64, header.nr)
    };
    match EventCode::syscall(abi, nr).filter(|code| *code != NO_SUCH_CALL) {
        Some(code) => (code, event_flags, None),
        None => (NO_SUCH_CALL, event_flags, Some(u64::from(header.nr))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, nr: u32, ret: i64, args: &[u64], fields: &[(u8, u8, u32, &[u8])]) -> Vec<u8> {
        let mut out = vec![kind, args.len() as u8, 0, 0];
        out.extend_from_slice(&nr.to_ne_bytes());
        for word in [1000, 3 << 48 | 7, 42 << 32 | 43, 900, 5, ret as u64] {
            out.extend_from_slice(&u64::to_ne_bytes(word));
        }
        for arg in args {
            out.extend_from_slice(&arg.to_ne_bytes());
        }
        for (tag, flags, full, bytes) in fields {
            out.extend_from_slice(&[*tag, *flags]);
            out.extend_from_slice(&(bytes.len() as u16).to_ne_bytes());
            out.extend_from_slice(&full.to_ne_bytes());
            out.extend_from_slice(bytes);
            out.resize(out.len().next_multiple_of(8), 0);
        }
        out
    }

    #[test]
    fn a_call_keeps_its_own_arguments_and_fields() {
        let path = b"/etc/passwd";
        let kpath = b"passwd\0etc\0";
        let bytes = record(1, 257, 3, &[1, 2, 3, 4, 5, 6], &[(1, 0, 11, path), (0x83, 0, 11, kpath)]);
        Translator::default()
            .event(&bytes, |event| {
                assert_eq!(event.code, EventCode(257));
                assert_eq!(event.cpu, 3);
                assert_eq!(event.task, TaskKey { tgid: 42, tid: 43, start: BootNanos(900) });
                assert_eq!(event.args, [1, 2, 3, 4]);
                assert_eq!(event.bytes(FieldTag::PATH), Some(&path[..]));
                assert_eq!(event.bytes(FieldTag::KPATH), Some(&b"/etc/passwd"[..]));
            })
            .unwrap();
    }

    #[test]
    fn paths_below_no_root_stay_as_they_are() {
        let bytes = record(1, 319, 3, &[0; 6], &[(0x83, 0x80, 8, b"memfd:x\0"), (0x83, 0, 0, b"")]);
        Translator::default()
            .event(&bytes, |event| {
                assert_eq!(event.fields[0].bytes, b"memfd:x");
                assert_eq!(event.fields[1].bytes, b"/");
            })
            .unwrap();
    }

    #[test]
    fn a_kernel_path_that_lost_its_beginning_is_no_other_files() {
        let bytes = record(1, 257, 3, &[0; 6], &[(0x83, 1, 11, b"shadow\0etc\0")]);
        Translator::default()
            .event(&bytes, |event| {
                let field = &event.fields[0];
                assert_eq!(field.bytes, b".../etc/shadow");
                assert!(field.flags.contains(FieldFlags::TRUNCATED));
                assert!(field.full_len as usize > field.bytes.len());
            })
            .unwrap();
        let differs = |claimed: &[u8]| {
            let fields = [(1, 0, claimed.len() as u32, claimed), (0x83, 1, 11, &b"shadow\0etc\0"[..])];
            let bytes = record(1, 257, 3, &[0; 6], &fields);
            let flags = Translator::default().event(&bytes, |event| event.flags).unwrap();
            flags.contains(EventFlags::DIFFERS)
        };
        assert!(!differs(b"/deep/etc/shadow") && !differs(b"shadow") && !differs(b"../shadow"));
        assert!(differs(b"/deep/etc/group") && differs(b"hadow") && differs(b"/shadow"));
    }

    #[test]
    fn sockets_become_two_addresses() {
        let mut info = [0u8; 48];
        info[0] = 2;
        info[2..4].copy_from_slice(&8080u16.to_ne_bytes());
        info[4..6].copy_from_slice(&443u16.to_ne_bytes());
        info[8..12].copy_from_slice(&[127, 0, 0, 1]);
        info[24..28].copy_from_slice(&[10, 0, 0, 9]);
        let bytes = record(1, 42, 0, &[3, 0, 16, 0, 0, 0], &[(0x70, 0, 48, &info)]);
        Translator::default()
            .event(&bytes, |event| {
                assert_eq!(event.bytes(FieldTag::PEER).unwrap()[..8], [2, 0, 1, 187, 10, 0, 0, 9]);
                assert_eq!(event.bytes(FieldTag::LOCAL).unwrap().len(), 16);
            })
            .unwrap();
    }

    #[test]
    fn a_claimed_path_that_is_not_the_kernels_is_flagged() {
        let differs = |claimed: &[u8], kernel: &[u8]| {
            let fields = [(1, 0, claimed.len() as u32, claimed), (0x83, 0, kernel.len() as u32, kernel)];
            let bytes = record(1, 257, 3, &[0; 6], &fields);
            let flags = Translator::default().event(&bytes, |event| event.flags).unwrap();
            flags.contains(EventFlags::DIFFERS)
        };
        let kernel = b"passwd\0etc\0";
        assert!(!differs(b"/etc/passwd", kernel));
        assert!(!differs(b"/etc//./x/../passwd", kernel));
        assert!(!differs(b"passwd", kernel));
        assert!(!differs(b"../etc/passwd", kernel));
        assert!(!differs(b"etc/passwd", kernel));
        assert!(differs(b"/etc/group", kernel));
        assert!(differs(b"asswd", kernel));
        assert!(differs(b"../group", kernel));
    }

    #[test]
    fn numbers_without_a_table_are_kept() {
        let bytes = record(1, 0x0012_3456, -38, &[0; 6], &[]);
        Translator::default()
            .event(&bytes, |event| {
                assert_eq!((event.code, event.args.last()), (NO_SUCH_CALL, Some(&0x0012_3456)));
            })
            .unwrap();
        let bytes = record(1, u32::MAX, 0, &[], &[]);
        Translator::default()
            .event(&bytes, |event| {
                assert_eq!((event.code, event.flags), (EventCode(15), EventFlags::SIGRETURN));
            })
            .unwrap();
        let bytes = record(1, u32::MAX, -38, &[], &[]);
        Translator::default()
            .event(&bytes, |event| {
                assert_eq!((event.code, event.args, event.ret), (NO_SUCH_CALL, &[NO_NUMBER][..], -38));
                assert_eq!(event.flags, EventFlags::default());
            })
            .unwrap();
    }

    /// A record of a call under a seccomp filter.
    fn filtered(nr: u32, ret: i64, fields: &[(u8, u8, u32, &[u8])]) -> Vec<u8> {
        let mut bytes = record(1, nr, ret, &[0; 6], fields);
        bytes[2..4].copy_from_slice(&flags::SECCOMP.to_ne_bytes());
        bytes
    }

    #[test]
    fn a_call_that_a_filter_skipped_is_no_success() {
        let path: (u8, u8, u32, &[u8]) = (1, 0, 11, b"/etc/shadow");
        let opened: (u8, u8, u32, &[u8]) = (0x83, 0, 11, b"shadow\0etc\0");
        for (bytes, denied) in [
            // `setuid`, `unlink`, `openat`, as they are trapped or killed in.
            (filtered(105, 105, &[]), true),
            (filtered(87, 87, &[path]), true),
            (filtered(257, 257, &[path]), true),
            (filtered(0x999, 0x999, &[]), true),
            // What may be: descriptor 257, 39 as process id, another number, and no filter.
            (filtered(257, 257, &[path, opened]), false),
            (filtered(39, 39, &[]), false),
            (filtered(257, 3, &[path]), false),
            (filtered(87, 0, &[path]), false),
            (record(1, 105, 105, &[0; 6], &[]), false),
        ] {
            let ret = head(&bytes).unwrap().header.ret;
            let found = Translator::default().event(&bytes, |event| {
                assert_eq!(event.ret, if denied { -1 } else { ret });
                event.flags.contains(EventFlags::DENIED)
            });
            assert_eq!(found, Ok(denied), "{bytes:?}");
        }
    }

    #[test]
    fn e6_calls_of_x32_have_their_own_table() {
        let bytes = record(1, 0x4000_0000 | 257, 3, &[1, 2, 3, 4, 5, 6], &[]);
        Translator::default()
            .event(&bytes, |event| {
                assert_eq!(event.code.as_syscall(), Some((Abi::X32, 257)));
                assert_eq!((syscalls::name(event.code).as_ref(), event.args.len()), ("openat(x32)", 4));
            })
            .unwrap();
        // Of the numbers that only x32 has, and one that it has not.
        for (nr, name) in [(512, "rt_sigaction(x32)"), (520, "execve(x32)")] {
            let bytes = record(1, 0x4000_0000 | nr, 0, &[0; 6], &[]);
            let found = Translator::default().event(&bytes, |e| syscalls::name(e.code).into_owned());
            assert_eq!(found, Ok(name.to_owned()));
        }
    }

    #[test]
    fn a_call_that_has_not_returned_says_which_it_is() {
        let bytes = record(11, 0, 0, &[3, 2, 1, 7, 7, 7], &[]);
        Translator::default()
            .event(&bytes, |event| {
                assert_eq!((event.code, event.args), (EventCode::IN_CALL, &[0, 3, 2, 1][..]));
            })
            .unwrap();
    }

    #[test]
    fn every_cut_of_a_record_is_an_error_or_an_event_but_no_panic() {
        let bytes = record(1, 257, 3, &[1, 2, 3, 4, 5, 6], &[(1, 0, 5, b"hello"), (0x70, 0, 48, &[2; 48])]);
        for len in 0..bytes.len() {
            let _ = Translator::default().event(&bytes[..len], |_| ());
        }
        let unknown = record(99, 0, 0, &[], &[]);
        assert_eq!(Translator::default().event(&unknown, |_| ()), Err(Malformed::Kind { kind: 99 }));
    }
}
