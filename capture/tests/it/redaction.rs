//! Secrets in arguments, environments, files and streams, with and without masking.

use std::path::Path;

use afterimage_format::{ContainerUid, FieldFlags, FieldTag};
use afterimage_launch::{ExitStatus, Stdio};

use crate::{
    bench::{Bench, busybox, eventually},
    harness::{alone, events, open},
};

const CANARY: &[u8] = b"canary-0c1d5e7a";

fn has_canary(bytes: &[u8]) -> bool {
    bytes.windows(CANARY.len()).any(|window| window == CANARY)
}

fn files(folder: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, visit) } else { visit(&path) }
    }
}

/// Records a container that has one secret everywhere; which kinds of fields have it, and which were masked.
fn kinds(config: &str) -> (Vec<FieldTag>, Vec<FieldTag>, u64) {
    let bench = Bench::start(config);
    let (mut launcher, _root) = busybox();
    let canary = std::str::from_utf8(CANARY).unwrap();
    launcher.env.push(format!("DB_PASSWORD={canary}"));
    // The last is a path that the URL of a clone made.
    let script = format!(
        "printf 'GET / HTTP/1.1\\r\\nAuthorization: Bearer {canary}\\r\\n' | busybox cat > /tmp/request; \
         busybox sh -c 'exit 0' --token {canary}; \
         echo '{{\"api_key\": \"{canary}\"}}' > /tmp/config.json; busybox cat /tmp/config.json; \
         busybox mkdir '/tmp/secret={canary}'"
    );
    let run = launcher.run(&["/bin/busybox", "sh", "-c", &script], Stdio::default()).unwrap();
    assert_eq!(run.status, ExitStatus::Code(0));
    let counted = || bench.get("/v1/status")["recording"]["secrets_masked"].as_u64().unwrap();
    let masked = eventually("count", || Some(counted()).filter(|count| *count >= 5 || !masked_is_on(config)));
    let (store, _) = bench.recorder.stop();
    let recording = open(store.path());
    let (mut clear, mut redacted) = (Vec::new(), Vec::new());
    let everybody: Vec<ContainerUid> = recording.containers().iter().map(|c| c.record.uid).collect();
    for uid in everybody {
        for field in events(&recording, uid).iter().flat_map(|event| &event.fields) {
            if has_canary(&field.bytes) {
                clear.push(field.tag);
            }
            if field.flags.contains(FieldFlags::REDACTED) {
                redacted.push(field.tag);
            }
        }
    }
    // What is not compressed would be found here.
    files(store.path(), &mut |path| {
        assert!(!masked_is_on(config) || !has_canary(&std::fs::read(path).unwrap()), "{}", path.display());
    });
    for tags in [&mut clear, &mut redacted] {
        tags.sort_unstable();
        tags.dedup();
    }
    (clear, redacted, masked)
}

fn masked_is_on(config: &str) -> bool {
    config.contains("secrets = true")
}

#[test]
#[ignore = "needs root and eBPF"]
fn secrets_are_masked_before_they_are_written_when_that_is_asked_for() {
    let _alone = alone();
    let (clear, redacted, masked) = kinds("");
    for tag in [FieldTag::ARGV, FieldTag::ENVP, FieldTag::PAYLOAD, FieldTag::PATH] {
        assert!(clear.contains(&tag), "the canary is where it is looked for: {clear:?}");
    }
    assert_eq!((&redacted[..], masked), (&[][..], 0));
    let (clear_now, redacted, masked) = kinds("[redact]\nsecrets = true\n");
    assert_eq!(clear_now, []);
    assert_eq!(redacted, clear, "all that had it, and nothing else");
    assert!(masked >= 5, "{masked}");
}
