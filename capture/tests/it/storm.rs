//! Senders that come too often, too slowly, too large, or again: the recording loses nothing, and the answers are right.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use afterimage_launch::Stdio;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{
    bench::{Bench, TOKEN, busybox, eventually, falco},
    harness::{alone, container, events, open},
    http,
};

/// Sends alerts over one connection after the other until told to stop; counts the answers by status.
fn shout(
    address: SocketAddr,
    body: &str,
    stop: &AtomicBool,
    answers: &Mutex<BTreeMap<u16, u64>>,
    sent: &AtomicU64,
) {
    let request = format!(
        "POST /v1/trigger HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(address) else { continue };
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut buffer = [0; 4096];
        while !stop.load(Ordering::Relaxed) {
            if stream.write_all(request.as_bytes()).is_err() {
                break;
            }
            let Ok(read @ 1..) = stream.read(&mut buffer) else { break };
            sent.fetch_add(1, Ordering::Relaxed);
            let status = std::str::from_utf8(&buffer[..read]).unwrap().split(' ').nth(1);
            let status = status.and_then(|status| status.parse().ok()).unwrap_or(0);
            *answers.lock().unwrap().entry(status).or_default() += 1;
        }
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_storm_of_alerts_costs_the_recording_nothing() {
    let _alone = alone();
    let bench = Bench::start("rate = 1000000\n");
    let (launcher, _root) = busybox();
    let (stop, sent, answers) = (AtomicBool::new(false), AtomicU64::new(0), Mutex::new(BTreeMap::new()));
    let body = falco(&"a".repeat(64)).to_string();
    let begun = Instant::now();
    let id = std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| shout(bench.webhook, &body, &stop, &answers, &sent));
        }
        // Under way before the container begins, and still when it has ended.
        eventually("storm", || (sent.load(Ordering::Relaxed) > 500).then_some(()));
        let script = "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo $i > /tmp/counted; done";
        let outcome = launcher.run(&["/bin/busybox", "sh", "-c", script], Stdio::default()).unwrap();
        let at_end = sent.load(Ordering::Relaxed);
        eventually("more of it", || (sent.load(Ordering::Relaxed) > at_end + 500).then_some(()));
        stop.store(true, Ordering::Relaxed);
        outcome.id.to_string()
    });
    let (sent, answers) = (sent.into_inner(), answers.into_inner().unwrap());
    println!("{sent} alerts, {:.0} a second: {answers:?}", sent as f64 / begun.elapsed().as_secs_f64());
    assert!(answers.keys().all(|status| [200, 429].contains(status)), "{answers:?}");
    assert!(answers.contains_key(&200), "{answers:?}");
    let status = bench.get("/v1/status");
    assert_eq!((&status["recording"]["lost"], &status["ready"]), (&0.into(), &true.into()), "{status}");
    let (store, _) = bench.recorder.stop();
    let recording = open(store.path());
    let own = container(&recording, &id).record.uid;
    let write = afterimage_model::syscalls::by_name("write").unwrap();
    let writes = events(&recording, own).iter().filter(|event| event.code == write).count();
    assert_eq!(writes, 2000, "as many as the workload made");
    assert!(recording.losses().iter().all(|loss| loss.container != Some(own)), "{:?}", recording.losses());
}

#[test]
#[ignore = "needs root and eBPF"]
fn those_who_send_slowly_or_without_end_keep_nobody_out() {
    let _alone = alone();
    let bench = Bench::start("body_limit = \"64KiB\"\n");
    // More connections than there are places, each with half a head.
    let slow: Vec<TcpStream> = (0..300)
        .filter_map(|_| {
            let mut stream = TcpStream::connect(bench.webhook).ok()?;
            let _ = stream.write_all(b"POST /v1/trigger HTTP/1.1\r\nHost: x\r\nX-Slow: ");
            Some(stream)
        })
        .collect();
    assert_eq!(slow.len(), 300);
    // The control socket has places of its own.
    assert_eq!(bench.get("/v1/status")["ready"], true);
    // And they make room at once: an alert comes through.
    assert_eq!(bench.try_alert(&falco(&"b".repeat(64))), Some(200));
    drop(slow);
    // A body without end, in pieces: refused as soon as it is too long, whatever is still to come.
    let mut stream = eventually("connection", || TcpStream::connect(bench.webhook).ok());
    let head = format!(
        "POST /v1/trigger HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let piece = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let taken = (0..1 << 18).take_while(|_| stream.write_all(piece.as_bytes()).is_ok()).count();
    assert!(taken < 1 << 18, "a gigabyte was taken");
    // Packed small and unpacked large is large.
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![b' '; 32 << 20]).unwrap();
    let packed = packed.finish().unwrap();
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Encoding", "gzip")];
    assert_eq!(http::tcp(bench.webhook, "POST", "/v1/trigger", &headers, &packed).status, 413);
    assert_eq!(bench.get("/v1/status")["recording"]["lost"], 0);
    bench.recorder.stop();
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_signature_counts_once_and_in_its_time() {
    let _alone = alone();
    let key = key();
    let bench = Bench::start(&format!("hmac_key_file = \"{}\"\n", key.path().display()));
    let sign = |time: i64, nonce: &str, body: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
        mac.update(format!("{time}.{nonce}.{body}").as_bytes());
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let post = |time: i64, nonce: &str, signed: &str, body: &str| {
        let signature = format!("sha256={}", sign(time, nonce, signed));
        let time = time.to_string();
        let headers = [
            ("X-Afterimage-Signature", signature.as_str()),
            ("X-Afterimage-Timestamp", &time),
            ("X-Afterimage-Nonce", nonce),
        ];
        http::tcp(bench.webhook, "POST", "/v1/trigger", &headers, body.as_bytes()).status
    };
    let now = jiff::Timestamp::now().as_second();
    let body = falco(&"c".repeat(64)).to_string();
    assert_eq!(post(now, "nonce-0001", &body, &body), 200);
    assert_eq!(post(now, "nonce-0001", &body, &body), 401, "replayed");
    assert_eq!(post(now, "nonce-0002", &body, &body), 200, "signed anew");
    assert_eq!(post(now - 3600, "nonce-0003", &body, &body), 401, "an hour old");
    assert_eq!(post(now + 3600, "nonce-0004", &body, &body), 401, "of tomorrow");
    assert_eq!(post(now, "nonce-0005", &body, &falco(&"d".repeat(64)).to_string()), 401, "of another body");
    bench.recorder.stop();
}

const KEY: &str = "a-key-that-only-the-sender-knows";

/// A file with the key, readable by its owner.
fn key() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(KEY.as_bytes()).unwrap();
    file
}
