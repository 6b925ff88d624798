//! Seeds: from the committed samples and golden traces, which the recorder and the writer made, and from the bodies
//! and rules that the tests use.

use std::{
    fs,
    path::{Path, PathBuf},
};

use afterimage_format::{Origin, OwnedEvent, Query, Recording, StoreOptions, StoreWriter, fuzzing};
use afterimage_model::World;

/// Bytes of a seed at most: larger ones only slow a fuzzer down.
const MOST: usize = 64 << 10;

const BLOCK_MAGIC: &[u8] = b"AFB1";
const HEADER_LEN: usize = 128;
const PROOF: u8 = 8;
const CHAIN: u8 = 9;

/// Ids of columns that hold metadata records, a note, a proof or a chain.
const RECORDS: u8 = 1;
const NOTES: [u8; 3] = [20, 21, 22];

const FILTERS: &[&str] = &[
    "proc.name = nc && !fd.port in 1..1023 || evil.com",
    "a and(b or c)and not(d)",
    "proc.env[\"A B\"]=x and evt.rawres >= -1",
    "fd.name contains \"a\\x1b\\u{202e}\\n\" and len( proc.args ) > 5",
    "join(\",\", (proc.name, 'x', 1)) = a or getopt((proc.args[0]), \"ab:\")[b] = x",
    "seq(evt.type=open; evt.type=connect foo within 10s)",
    "near(evt.type=execve, 5s by proc.pid) time in 12:00..start+5s",
    "under (proc.name=a or proc.name=b) within proc.pid = 412",
    "fd.net in 10.0.0.0/8 fd.sip = ::1 proc.name startswith oneof (a, b)",
    "evt.buffer bcontains cafebabe and fd.name glob /a/*?[x]",
];

const RULES: &str = "- required_engine_version: 0.31.0\n- list: shells\n  items: [sh, bash]\n- macro: spawned\n  condition: \
    evt.type in (execve, execveat) and evt.dir=<\n- rule: shell\n  desc: a shell\n  condition: spawned and proc.name in \
    (shells)\n  output: a shell (%proc.name %proc.args[1] %container.id)\n  priority: WARNING\n  tags: [a, b]\n  \
    exceptions:\n  - name: e\n    fields: [proc.name, fd.name]\n    comps: [=, startswith]\n    values:\n    - [a, /b]\n\
    - rule: shell\n  append: true\n  condition: or proc.name = x\n- rule: shell\n  enabled: false\n  override:\n    \
    enabled: replace\n";

const CGROUPS: &[&str] = &[
    "/system.slice/docker-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope",
    "/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a1b2c3d_0a1b_0a1b_0a1b_0123456789ab.slice/\
     cri-containerd-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope",
    "/machine.slice/libpod-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope/container",
    "/lxc.payload.name/init.scope",
    "container=abc&at=1%2B2&x=%F0%9F%98%80",
];

const OCI: &str = r#"{"ociVersion":"1.0.2","hostname":"h","process":{"args":["sh"],"env":["A=b"],"cwd":"/","capabilities":
{"bounding":["CAP_KILL"]}},"root":{"path":"rootfs","readonly":true},"mounts":[{"destination":"/proc","type":"proc","source":"proc"}],
"annotations":{"io.kubernetes.cri.container-name":"c","io.kubernetes.pod.name":"p"},"linux":{"cgroupsPath":"/a/b","namespaces":[{"type":"pid"}]}}"#;
const DOCKER: &str = r#"{"ID":"0123456789abcdef","Name":"/web","Created":"2026-01-01T00:00:00Z","Driver":"overlay2","Image":"sha256:00",
"Config":{"Hostname":"h","Image":"nginx:1","Labels":{"a":"b"},"Env":["A=b"]},"HostConfig":{"Privileged":true},"Repositories":{"nginx":{"nginx:1":"sha256:00"}}}"#;
const HOST: &str = r#"{"Binds":["/a:/b"],"Privileged":true,"PidMode":"host","NetworkMode":"host","CapAdd":["SYS_ADMIN"],"data-root":"/d"}"#;
const STORAGE: &str = r#"01234567[{"id":"01234567","names":["web"],"image":"abc","layer":"l","metadata":"{\"image-name\":\"nginx\",\"name\":\"web\"}","created":"2026-01-01T00:00:00Z"},{"id":"abc","names":["docker.io/nginx:1"]}]"#;

/// Writes the seeds of a target into a folder.
pub fn write(target: &str, dir: &Path) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::create_dir_all(dir).expect("a folder for seeds");
    let mut count = 0;
    let mut put = |bytes: &[u8]| {
        if bytes.len() <= MOST {
            fs::write(dir.join(format!("seed-{count:04}")), bytes).expect("room for seeds");
            count += 1;
        }
    };
    let files = traces(&repository);
    match target {
        "segment" => files.iter().for_each(|file| put(file)),
        "block" => blocks(&files, |block| put(block)),
        "footer" => blocks(&files, |block| {
            if block.get(6) == Some(&7) {
                put(block);
            }
        }),
        "catalog" => catalogs(&repository).iter().for_each(|file| put(file)),
        "stage" => stages(&repository).iter().for_each(|file| put(file)),
        "rows" | "events" => {
            for file in stages(&repository) {
                fuzzing::batches(&file, &mut |batch| put(batch));
            }
        }
        "stream" => {
            put(&[3, 0, 0, 0x10, 7]);
            put(&[3, 0, 0, 0x21, 1, 2, 44, 0, 0, 1]);
            put(&[4, 0, 0, 0x12, 0xc0, 0x84, 0x3d, 2, 4, 6]);
        }
        "records" => columns(&files, |_, id, raw| {
            if id == RECORDS {
                put(raw);
            }
        }),
        "proof" => {
            columns(&files, |kind, id, raw| {
                if NOTES.contains(&id) || kind == PROOF || kind == CHAIN {
                    put(raw);
                }
            });
            files.iter().for_each(|file| put(&file[..file.len().min(4096)]));
        }
        "keyframe" => keyframes(&repository).iter().for_each(|bytes| put(bytes)),
        "snapshot" => snapshots(&repository, &mut put),
        "filter" => FILTERS.iter().for_each(|text| put(text.as_bytes())),
        "rules" => {
            put(RULES.as_bytes());
            folder(&repository.join("replay/tests/it")).iter().for_each(|bytes| put(bytes));
        }
        "webhook" => folder(&repository.join("capture/tests/senders")).iter().for_each(|bytes| put(bytes)),
        "runtimes" => {
            let texts = [OCI, DOCKER, HOST, HOST, STORAGE, "io.kubernetes.pod.name=p\nbuilder=x"];
            for (choice, text) in texts.iter().enumerate() {
                put(&[&[choice as u8], text.as_bytes()].concat());
            }
        }
        "names" => CGROUPS.iter().for_each(|text| put(text.as_bytes())),
        "btf" => put(&small_btf()),
        "wire" => {
            put(b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0\x01a\x02bc\0\0\x01\0\x01\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x01\x02\x03\x04");
            put(b"\x02\0\0\x35\x7f\0\0\x01\0\0\0\0\0\0\0\0");
            put(b"\x0a\0\0\x35\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0");
            put(b"\x01\0/run/socket\0");
            put(b"\x01\0\0abstract");
        }
        _ => panic!("no such target: {target}"),
    }
    println!("{target}: {count} seeds");
}

fn folder(path: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let text = |path: &PathBuf| {
        path.extension().is_some_and(|end| ["json", "jsonl", "yaml"].iter().any(|known| end == *known))
    };
    paths.iter().filter(|path| text(path)).filter_map(|path| fs::read(path).ok()).collect()
}

/// All files below a folder whose name the choice takes.
fn below(path: &Path, chosen: &dyn Fn(&str) -> bool, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            below(&path, chosen, found);
        } else if path.file_name().and_then(|name| name.to_str()).is_some_and(chosen) {
            found.push(path);
        }
    }
    found.sort();
}

fn read_below(repository: &Path, chosen: &dyn Fn(&str) -> bool) -> Vec<Vec<u8>> {
    let mut paths = Vec::new();
    for place in ["samples", "format/tests/golden"] {
        below(&repository.join(place), chosen, &mut paths);
    }
    paths.iter().filter_map(|path| fs::read(path).ok()).collect()
}

/// Segments and extracts.
fn traces(repository: &Path) -> Vec<Vec<u8>> {
    read_below(repository, &|name| name.ends_with(".aft") || name.ends_with(".aftx"))
}

/// Catalogs: of a new store, and of the golden ones once a writer has opened and sealed them.
fn catalogs(repository: &Path) -> Vec<Vec<u8>> {
    let mut versions = vec![PathBuf::from("none")];
    versions.extend(
        fs::read_dir(repository.join("format/tests/golden"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path()),
    );
    let catalog = |version: &PathBuf| {
        let dir = tempfile::tempdir().expect("a folder for a store");
        let mut origin = None;
        if version.join("store").is_dir() {
            for entry in fs::read_dir(version.join("store")).expect("a golden store").flatten() {
                fs::copy(entry.path(), dir.path().join(entry.file_name())).expect("room for a store");
            }
            origin = Recording::open(dir.path()).ok().map(|recording| recording.origin().clone());
        }
        let origin = origin.unwrap_or_else(|| Origin {
            store_uuid: [7; 16],
            boot_id: [8; 16],
            hostname: b"host".to_vec(),
            kernel: b"6.18".to_vec(),
            machine: b"x86_64".to_vec(),
            degraded: Vec::new(),
            recorder: b"0.1.0".to_vec(),
        });
        StoreWriter::open(dir.path(), origin, StoreOptions::default()).ok()?.seal().ok()?;
        fs::read(dir.path().join("catalog")).ok()
    };
    versions.iter().filter_map(catalog).collect()
}

/// Stage files.
fn stages(repository: &Path) -> Vec<Vec<u8>> {
    let mut found = read_below(repository, &|name| name.starts_with("stage-"));
    // The reserved zeros are of no use.
    for bytes in &mut found {
        let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        bytes.truncate(used);
    }
    found
}

fn blocks(files: &[Vec<u8>], mut visit: impl FnMut(&[u8])) {
    for file in files {
        let mut at = 4096;
        while file.get(at..at + 4) == Some(BLOCK_MAGIC) && at + HEADER_LEN <= file.len() {
            let word = [file[at + 8], file[at + 9], file[at + 10], file[at + 11]];
            let end = at + (u32::from_le_bytes(word) as usize).max(8);
            let Some(block) = file.get(at..end) else { break };
            visit(block);
            at = end;
        }
    }
}

fn columns(files: &[Vec<u8>], mut visit: impl FnMut(u8, u8, &[u8])) {
    blocks(files, |block| fuzzing::columns(block, &mut |id, raw| visit(block[6], id, raw)));
}

/// The keyframes of the samples' containers, of each in their order, one behind so many events.
pub(crate) fn keyframes(repository: &Path) -> Vec<Vec<u8>> {
    let mut paths = Vec::new();
    below(&repository.join("samples"), &|name| name.ends_with(".aftx"), &mut paths);
    let mut found = Vec::new();
    for path in paths {
        let recording = Recording::open(&path).expect("a sample opens");
        let mut world = World::new();
        let mut count = 0;
        let read = recording.for_each(&Query::default(), &mut |uid, event| {
            world.apply(uid, event);
            count += 1;
            if count % 100 == 0 {
                found.push(world.keyframe(uid, count % 300 == 0).0);
                world.shed(uid);
            }
            std::ops::ControlFlow::Continue(())
        });
        read.expect("a sample reads");
    }
    found
}

/// The state of each container at the end of each sample.
fn snapshots(repository: &Path, put: &mut dyn FnMut(&[u8])) {
    let mut paths = Vec::new();
    below(&repository.join("samples"), &|name| name.ends_with(".aftx"), &mut paths);
    for path in paths {
        let recording = Recording::open(&path).expect("a sample opens");
        let mut world = World::new();
        let mut events: Vec<OwnedEvent> = Vec::new();
        let read = recording.for_each(&Query::default(), &mut |uid, event| {
            world.apply(uid, event);
            events.push(OwnedEvent::from_event(event));
            if events.len() % 500 == 0 {
                put(&world.save(uid));
            }
            std::ops::ControlFlow::Continue(())
        });
        read.expect("a sample reads");
        world.containers().collect::<Vec<_>>().into_iter().for_each(|uid| put(&world.save(uid)));
    }
}

/// Type information with a structure, an anonymous member, an enumeration and a tracepoint.
fn small_btf() -> Vec<u8> {
    let strings = b"\0a\0b\0btf_trace_a\0task_struct\0pid\0";
    let mut types: Vec<u8> = Vec::new();
    let mut word = |value: u32| types.extend_from_slice(&value.to_le_bytes());
    // 1: int a; 2: struct a { int b }; 3: struct task_struct { struct (2) }; 4: func_proto; 5: pointer; 6: typedef.
    [1, 1 << 24, 4, 32].into_iter().for_each(&mut word);
    [1, 4 << 24 | 1, 4, 3, 1, 0].into_iter().for_each(&mut word);
    [17, 4 << 24 | 1, 4, 0, 2, 0].into_iter().for_each(&mut word);
    [0, 13 << 24 | 1, 0, 1, 1].into_iter().for_each(&mut word);
    [0, 2 << 24, 4].into_iter().for_each(&mut word);
    [5, 8 << 24, 5].into_iter().for_each(&mut word);
    [1, 6 << 24 | 1, 4, 3, 9].into_iter().for_each(&mut word);
    let mut out = vec![0x9f, 0xeb, 1, 0];
    for value in [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32] {
        out.extend_from_slice(&value.to_le_bytes());
    }
    out.extend_from_slice(&types);
    out.extend_from_slice(strings);
    out
}
