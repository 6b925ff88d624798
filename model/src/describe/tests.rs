use afterimage_format::{BootNanos, Field, FieldFlags};
use proptest::prelude::*;

use super::*;

struct Call<'a> {
    code: EventCode,
    ret: i64,
    args: &'a [u64],
    fields: Vec<Field<'a>>,
    flags: EventFlags,
}

fn field(tag: FieldTag, bytes: &[u8]) -> Field<'_> {
    Field { tag, flags: FieldFlags(0), full_len: u32::try_from(bytes.len()).unwrap(), bytes }
}

fn call<'a>(name: &str, args: &'a [u64], ret: i64) -> Call<'a> {
    let code = syscalls::by_name(name).unwrap();
    Call { code, ret, args, fields: Vec::new(), flags: EventFlags::default() }
}

impl<'a> Call<'a> {
    fn field(mut self, tag: FieldTag, bytes: &'a [u8]) -> Self {
        self.fields.push(field(tag, bytes));
        self
    }

    fn flags(mut self, flags: EventFlags) -> Self {
        self.flags = flags;
        self
    }

    fn event(&self) -> Event<'_> {
        Event {
            time: BootNanos(0),
            duration: None,
            task: TaskKey { tgid: 7, tid: 7, start: BootNanos(1) },
            code: self.code,
            flags: self.flags,
            cpu: 0,
            ret: self.ret,
            args: self.args,
            fields: &self.fields,
        }
    }

    fn detail(&self) -> String {
        detail(&self.event(), Some(&Names)).into_string()
    }

    fn result(&self) -> String {
        result(&self.event()).into_string()
    }

    fn args(&self) -> String {
        args(&self.event()).iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(", ")
    }
}

struct Names;

impl FdNames for Names {
    fn fd_name(&self, _: TaskKey, fd: i32) -> Option<Safe> {
        (fd == 4).then(|| Safe::literal("tcp 127.0.0.1:4444"))
    }
}

const CWD: u64 = 0xffff_ff9c;
const V4: [u8; 16] = [2, 0, 0x11, 0x5c, 203, 0, 113, 9, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn the_line_of_each_kind_of_call() {
    let open = call("openat", &[CWD, 1, 0o1101, 0o644], 3).field(FieldTag::PATH, b"/tmp/x\n");
    assert_eq!(open.detail(), r"/tmp/x\n O_WRONLY|O_CREAT|O_TRUNC");
    // It has no mode: the pointer behind was told in its place.
    let queue = call("mq_open", &[0, 0, 0o644, 0x7fff_0000], 3).field(FieldTag::PATH, b"/q");
    assert_eq!(queue.detail(), "/q O_RDONLY");
    let read_only = call("openat", &[CWD, 1, 0o2_000_000, 0], 3).field(FieldTag::PATH, b"/etc/passwd");
    assert_eq!(read_only.detail(), "/etc/passwd");
    let write = call("write", &[4, 1, 5], 5).field(FieldTag::PAYLOAD, b"\x16\x03\"hi");
    assert_eq!(write.detail(), r#"4:tcp 127.0.0.1:4444 "\x16\x03\"hi""#);
    let (one, two) = (
        [2, 0, 0, 53, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        [2, 0, 0, 53, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0],
    );
    let many = call("sendmmsg", &[4, 0, 3, 0], 3).field(FieldTag::SOCKADDR, &one);
    assert_eq!(many.detail(), "4:tcp 127.0.0.1:4444 10.0.0.1:53 +2 more");
    assert_eq!(
        many.field(FieldTag::PAYLOAD, b"a").field(FieldTag::SOCKADDR, &two).detail(),
        r#"4:tcp 127.0.0.1:4444 10.0.0.1:53 "a" +2 more: 10.0.0.2:53"#
    );
    assert_eq!(call("sendmmsg", &[4, 0, 1, 0], 1).detail(), "4:tcp 127.0.0.1:4444");
    assert_eq!(call("connect", &[3, 1, 16], 0).field(FieldTag::SOCKADDR, &V4).detail(), "3 203.0.113.9:4444");
    assert_eq!(
        call("accept4", &[3, 1, 16, 0], 5).field(FieldTag::PEER, &V4).detail(),
        "3 <- 203.0.113.9:4444"
    );
    assert_eq!(call("dup2", &[4, 0], 0).detail(), "4:tcp 127.0.0.1:4444 -> 0");
    assert_eq!(call("clone", &[0x11], 412).detail(), "-> 412");
    assert_eq!(call("clone", &[0x2000_0011], 412).detail(), "-> 412 CLONE_NEWPID");
    assert_eq!(call("setpgid", &[0, 0], 0).detail(), "0 0");
    assert_eq!(call("kill", &[412, 9], 0).detail(), "412 SIGKILL");
    assert_eq!(call("mprotect", &[0x7000, 4096, 5], 0).detail(), "READ|EXEC 4096 B");
    assert_eq!(
        call("mmap", &[0, 4096, 5, 2, 3, 0], 0).field(FieldTag::KPATH, b"/tmp/.x").detail(),
        "READ|EXEC /tmp/.x 4096 B"
    );
    let rename =
        call("renameat", &[CWD, 1, CWD, 2], 0).field(FieldTag::PATH, b"a").field(FieldTag::PATH2, b"b");
    assert_eq!(rename.detail(), "a -> b");
    assert_eq!(
        call("fchmodat", &[CWD, 1, 0o755], 0).field(FieldTag::PATH, b"/tmp/.x").detail(),
        "/tmp/.x 0755"
    );
    assert_eq!(call("socket", &[2, 1, 0], 3).detail(), "AF_INET SOCK_STREAM");
    assert_eq!(call("pipe2", &[1, 0], 0).field(FieldTag::FDS, &[3, 0, 0, 0, 4, 0, 0, 0]).detail(), "-> 3,4");
    assert_eq!(
        call("unlinkat", &[4, 1, 0x200], 0).field(FieldTag::PATH, b"x").detail(),
        "4:tcp 127.0.0.1:4444 x AT_REMOVEDIR"
    );
}

#[test]
fn results_are_numbers_errors_and_addresses() {
    assert_eq!(call("openat", &[], 3).result(), "3");
    assert_eq!(call("openat", &[], -2).result(), "ENOENT");
    assert_eq!(call("read", &[], -512).result(), "ERESTARTSYS");
    assert_eq!(call("mmap", &[], 0x7f00_0000_1000).result(), "0x7f0000001000");
    assert_eq!(exit_status(0).as_str(), "0");
    assert_eq!(exit_status(127).as_str(), "127");
    assert_eq!(exit_status(-9).as_str(), "SIGKILL");
    assert_eq!(exit_status(i64::MIN).as_str(), "-9223372036854775808");
}

#[test]
fn arguments_read_as_strace_writes_them() {
    let open =
        call("openat", &[CWD, 0x55, 0o2_000_000, 0xdead], 3).field(FieldTag::PATH, b"/etc/ld.so.cache");
    assert_eq!(open.args(), r#"dirfd=AT_FDCWD, path="/etc/ld.so.cache", flags=O_RDONLY|O_CLOEXEC"#);
    let create =
        call("open", &[1, 0o1101, 0o644], 3).field(FieldTag::PATH, b"x").field(FieldTag::KPATH, b"/a/x");
    assert_eq!(create.args(), r#"path="x", flags=O_WRONLY|O_CREAT|O_TRUNC, mode=0644, kernel path="/a/x""#);
    let lied = call("open", &[1, 0], 3)
        .field(FieldTag::PATH, b"/benign")
        .field(FieldTag::KPATH, b"/evil")
        .flags(EventFlags::DIFFERS);
    assert_eq!(lied.args(), r#"path (claimed)="/benign", flags=O_RDONLY, kernel path="/evil""#);
    assert_eq!(lied.detail(), "/evil (claimed /benign)");
    assert_eq!(call("fcntl", &[3, 2, 1], 0).args(), "fd=3, cmd=F_SETFD, arg=FD_CLOEXEC");
    assert_eq!(call("fcntl", &[3, 3, 99], 0).args(), "fd=3, cmd=F_GETFL");
    assert_eq!(call("fcntl", &[3, 4, 0o4000], 0).args(), "fd=3, cmd=F_SETFL, arg=O_RDONLY|O_NONBLOCK");
    assert_eq!(call("kill", &[u64::MAX, 15], 0).args(), "pid=-1, sig=SIGTERM");
    assert_eq!(
        call("socket", &[16, 3, 0], 3).args(),
        "domain=AF_NETLINK, type=SOCK_RAW, protocol=NETLINK_ROUTE"
    );
    assert_eq!(
        call("prctl", &[15, 9, 0, 0, 0], 0).field(FieldTag::DATA, b"evil\n").args(),
        r#"option=PR_SET_NAME, arg2="evil\n", arg3=0, arg4=0, arg5=0"#
    );
    assert_eq!(
        call("bpf", &[14, 9, 12], 3).field(FieldTag::DATA, &[77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).args(),
        "cmd=BPF_MAP_GET_FD_BY_ID, attr={id=77}, size=12"
    );
    assert_eq!(
        call("lseek", &[3, (-5_i64).cast_unsigned(), 2], 0).args(),
        "fd=3, offset=-5, whence=SEEK_END"
    );
    assert_eq!(
        call("_llseek(i386)", &[3, 0, 7, 0, 0], 0).args(),
        "fd=3, offset_high=0, offset_low=7, result=NULL, whence=SEEK_SET"
    );
    assert_eq!(
        call("chown", &[1, 0xffff_ffff, 5], 0).field(FieldTag::PATH, b"f").args(),
        r#"path="f", owner=-1, group=5"#
    );
    assert_eq!(call("read", &[0, 0x10, 64], -11).args(), "fd=0, buf=0x10, count=64");
    assert_eq!(
        call("pipe2", &[1, 0], 0).field(FieldTag::FDS, &[3, 0, 0, 0, 4, 0, 0, 0]).args(),
        "pipefd=[3, 4], flags=0"
    );
    let how = [0x241_u64.to_le_bytes(), 0o600_u64.to_le_bytes(), 8_u64.to_le_bytes()].concat();
    assert_eq!(
        call("openat2", &[CWD, 1, 2, 24], 3).field(FieldTag::PATH, b"x").field(FieldTag::DATA, &how).args(),
        r#"dirfd=AT_FDCWD, path="x", how={flags=O_WRONLY|O_CREAT|O_TRUNC, mode=0600, resolve=RESOLVE_BENEATH}, size=24"#
    );
    let unknown =
        Call { code: EventCode(999), ret: 0, args: &[1, 2], fields: vec![], flags: EventFlags::default() };
    assert_eq!(unknown.args(), "arg0=0x1, arg1=0x2");
}

#[test]
fn truncated_and_redacted_payloads_say_so() {
    let mut write = call("write", &[1, 1, 5000], 5000);
    write.fields.push(Field {
        tag: FieldTag::PAYLOAD,
        flags: FieldFlags::TRUNCATED,
        full_len: 5000,
        bytes: b"abc",
    });
    assert_eq!(write.args(), r#"fd=1, buf="abc"..., count=5000"#);
    write.fields[0].flags = FieldFlags::REDACTED;
    assert_eq!(write.detail(), r#"1 "abc"... [redacted]"#);
    let long = [b'a'; 100];
    assert_eq!(
        call("write", &[1, 1, 100], 100).field(FieldTag::PAYLOAD, &long).detail(),
        format!("1 \"{}\"...", "a".repeat(48))
    );
}

fn exec<'a>(numbers: &'a [u64], fields: Vec<Field<'a>>) -> Call<'a> {
    Call { code: EventCode::EXEC, ret: 0, args: numbers, fields, flags: EventFlags::default() }
}

/// An image that is kept in pieces is as many events, which all said the same and looked like as many images.
#[test]
fn each_piece_of_an_image_says_which_it_is() {
    let artifact = |offset, size, content: &[u8]| {
        let fields = vec![field(FieldTag::KPATH, b"/tmp/.x"), field(FieldTag::CONTENT, content)];
        let numbers = [size, 7, 1, offset, layout::artifact::KEPT];
        Call { code: EventCode::ARTIFACT, ..exec(&numbers, fields) }.detail()
    };
    assert_eq!(artifact(0, 6, b"abcdef"), "/tmp/.x 6 bytes, kept");
    assert_eq!(artifact(0, 6, b"abcd"), "/tmp/.x 6 bytes, kept: piece 0 to 4");
    assert_eq!(artifact(4, 6, b"ef"), "/tmp/.x 6 bytes, kept: piece 4 to 6");
    assert_eq!(artifact(0, 9, b""), "/tmp/.x 9 bytes, kept");
}

#[test]
fn a_command_line_names_the_real_image_and_what_is_odd_about_it() {
    let mut numbers = [layout::UNKNOWN; layout::exec::COUNT];
    numbers[layout::exec::EXE_FLAGS] = layout::exec::EXE_UPPER_LAYER;
    let fields = vec![
        field(FieldTag::KPATH, b"/tmp/.x"),
        field(FieldTag::FILENAME, b"./.x"),
        field(FieldTag::ARGV, b"./.x\0-q\0"),
    ];
    assert_eq!(exec(&numbers, fields).detail(), "/tmp/.x -q [upper layer]");
    numbers[layout::exec::EXE_FLAGS] = layout::exec::EXE_MEMFD | layout::exec::EXE_UNLINKED;
    let fields = vec![field(FieldTag::KPATH, b"/memfd:evil"), field(FieldTag::ARGV, b"[kworker/u8:3]\0")];
    assert_eq!(exec(&numbers, fields).detail(), "/memfd:evil [as [kworker/u8:3]] [memfd, deleted]");
    numbers[layout::exec::EXE_FLAGS] = layout::exec::EXE_SCRIPT;
    let fields = vec![
        field(FieldTag::KPATH, b"/bin/dash"),
        field(FieldTag::FILENAME, b"./scr.sh"),
        field(FieldTag::ARGV, b"/bin/sh\0./scr.sh\0a b\0"),
    ];
    assert_eq!(exec(&numbers, fields).detail(), r#"./scr.sh "a b" [script]"#);
    let fields = vec![
        field(FieldTag::KPATH, b"/bin/dash"),
        field(FieldTag::FILENAME, b"/bin/sh"),
        field(FieldTag::ARGV, b"-sh\0"),
    ];
    assert_eq!(exec(&[], fields).detail(), "/bin/dash");
    assert_eq!(exec(&[], vec![]).detail(), "");
}

#[test]
fn requests_of_a_ring_are_told_with_their_result() {
    let submit = [18, 0x77, 0xffff_ffff_ffff_ff9c];
    let mut request = Call {
        code: EventCode::URING_SUBMIT,
        ret: 0,
        args: &submit,
        fields: vec![field(FieldTag::PATH, b"/etc/shadow")],
        flags: EventFlags::default(),
    };
    assert_eq!(request.detail(), "IORING_OP_OPENAT /etc/shadow");
    assert_eq!(request.args(), r#"path="/etc/shadow", operation=IORING_OP_OPENAT, user data=0x77, fd=-100"#);
    request.code = EventCode::URING_COMPLETE;
    request.ret = -13;
    assert_eq!(request.result(), "EACCES");
    let write = [23, 0, 4];
    let write = Call { code: EventCode::URING_SUBMIT, args: &write, fields: vec![], ..request };
    assert_eq!(write.detail(), "IORING_OP_WRITE 4:tcp 127.0.0.1:4444");
}

#[test]
fn arguments_of_a_block_keep_empty_ones() {
    let words = |block: &'static [u8]| arguments(block).collect::<Vec<_>>();
    assert_eq!(words(b""), Vec::<&[u8]>::new());
    assert_eq!(words(b"a\0"), [b"a"]);
    assert_eq!(words(b"a\0\0b\0"), [&b"a"[..], b"", b"b"]);
    assert_eq!(words(b"a\0b"), [&b"a"[..], b"b"]);
}

fn any_field() -> impl Strategy<Value = (u8, u8, u32, Vec<u8>)> {
    (0_u8..20, any::<u8>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..80))
}

proptest! {
    /// Whatever a hostile trace holds, words come out that are safe, and nothing panics.
    #[test]
    fn any_event_is_described_safely(
        code in prop_oneof![0_u16..0x200, 0x1000_u16..0x1200, 0x2000_u16..0x2300, 0x8000_u16..0x8040, any::<u16>()],
        ret in prop_oneof![-600_i64..600, any::<i64>()],
        flags in any::<u32>(),
        args in prop::collection::vec(prop_oneof![0_u64..5000, any::<u64>()], 0..40),
        fields in prop::collection::vec(any_field(), 0..6),
    ) {
        let fields: Vec<Field<'_>> = fields
            .iter()
            .map(|(tag, flags, full_len, bytes)| Field {
                tag: FieldTag(*tag), flags: FieldFlags(*flags), full_len: *full_len, bytes,
            })
            .collect();
        let event = Event {
            time: BootNanos(0), duration: None, task: TaskKey::default(), code: EventCode(code),
            flags: EventFlags(flags), cpu: 0, ret, args: &args, fields: &fields,
        };
        for safe in [detail(&event, Some(&Names)), detail(&event, None), result(&event), command_line(&event)] {
            prop_assert_eq!(Safe::format(format_args!("{safe}")), safe);
        }
        for (name, value) in super::args(&event) {
            prop_assert!(name.is_ascii());
            prop_assert_eq!(Safe::format(format_args!("{value}")), value);
        }
    }
}
