//! A recording whose names, arguments and paths hold escape sequences, bidi marks, newlines and invalid UTF-8:
//! no output of any verb holds a control character but the newline that ends a line, nothing is deleted, and the
//! stored bytes stay as they are.

use afterimage_format::{ContainerUid, Engine, FactKey, FieldTag, Query, Recording};
use afterimage_model::text::{escape, unescape};

use crate::{
    fixture::{self, Call, Exec, Fixture, Store, at, id, task},
    run::{Ran, afterimage},
};

/// Everything that a terminal, a spreadsheet, Markdown or HTML would obey.
pub(crate) const HOSTILE: &[u8] =
    b"=x\x1b]52;c;ZXZpbA==\x07\x1b]0;own\x07\x1b[2J\xc2\x9b31m\xe2\x80\xaetxt.exe\xe2\x80\x8b\r\n\t\
\x08\x7f|<b>`\"',\xff\xfe\xc3(\xf3\xa0\x81\x81\xef\xb8\x8f\xee\x80\x80\\x1b end";

fn hostile() -> Store {
    let mut fixture = Fixture::new();
    let facts: [(FactKey, &[u8]); 5] = [
        (FactKey::Name, HOSTILE),
        (FactKey::Image, HOSTILE),
        (FactKey::PodName, HOSTILE),
        (FactKey::PodNamespace, HOSTILE),
        (FactKey::Label, HOSTILE),
    ];
    let mut record = fixture::container(1, Engine::Docker, &id("3ad7"), 0.0, &facts);
    record.removed = Some(at(9.0));
    record.cgroup_path = HOSTILE.to_vec();
    let mut odd = fixture::container(2, Engine::Lxc, HOSTILE, 0.0, &[]);
    odd.removed = Some(at(9.0));
    fixture.container(&record);
    fixture.container(&odd);
    let init = task(100, 0.1);
    for uid in [1, 2] {
        fixture.exec(
            uid,
            0.2,
            init,
            Exec { exe: HOSTILE, argv: &[HOSTILE, b"-q"], comm: &HOSTILE[..15], ..Exec::default() },
        );
        let fields: [(FieldTag, &[u8]); 2] = [(FieldTag::PATH, HOSTILE), (FieldTag::KPATH, HOSTILE)];
        fixture.call(
            uid,
            0.3,
            init,
            Call {
                nr: 257,
                ret: 3,
                args: &[0xffff_ff9c, 0, 0o101, 0o644],
                fields: &fields,
                ..Call::default()
            },
        );
        let fields: [(FieldTag, &[u8]); 1] = [(FieldTag::PAYLOAD, HOSTILE)];
        fixture.call(
            uid,
            0.4,
            init,
            Call { nr: 1, ret: 90, args: &[3, 0, 90], fields: &fields, ..Call::default() },
        );
        fixture.exit(uid, 0.9, init, 0);
    }
    fixture.seal()
}

/// Every way to print something of the recording.
fn verbs(store: &str) -> Vec<Vec<String>> {
    let formats = ["table", "json", "jsonl", "csv", "md", "timesketch", "ecs", "ocsf"];
    let plain: [&[&str]; 23] = [
        &["ls", "-a", "--no-trunc", "STORE"],
        &["info", "STORE"],
        &["tree", "uid:1", "STORE"],
        &["tree", "uid:2", "STORE", "--fields", "process,argv,execs,names,cwd"],
        &["show", "uid:1", "STORE", "--findings"],
        &["grep", "evt.type exists", "STORE", "--fields", "container,process,detail,args,fields"],
        &["grep", "proc.name = \u{202e}\x1b[2J and", "STORE"],
        &["files", "uid:1", "STORE", "--all"],
        &["net", "uid:1", "STORE"],
        &["net", "uid:1", "STORE", "--lookups"],
        &["follow", "uid:1", "STORE"],
        &["follow", "uid:1", "STORE", "--stream", "1"],
        &["logs", "uid:1", "STORE"],
        &["diff", "uid:1", "uid:2", "STORE", "--all"],
        &["verify", "STORE"],
        &["files", "uid:2", "STORE", "--fields", "path,history,by,acts,marks"],
        &["stats", "STORE", "--by", "process"],
        &["stats", "STORE", "--by", "container"],
        &["show", "uid:1", "STORE", "--setup", "--raw"],
        &["show", "uid:1", "STORE"],
        &["show", "uid:2", "STORE", "--fields", "container,process,detail,args,fields"],
        &["timeline", "STORE", "-c", "uid:1", "--columns", "5"],
        &["show", "no\u{202e}such\x1b[2J", "STORE"],
    ];
    let place = |a: &str| if a == "STORE" { store.to_owned() } else { a.to_owned() };
    let mut all = Vec::new();
    for verb in plain {
        for format in formats {
            let mut args: Vec<String> = verb.iter().map(|a| place(a)).collect();
            args.extend(["-o".to_owned(), format.to_owned()]);
            all.push(args);
        }
    }
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/hostile_rules.yaml");
    for more in [&["--falco-json"][..], &["-o", "json"], &["-o", "csv"], &["--no-trunc"]] {
        let args = [&["hunt", "--rules", rules, store], more].concat();
        all.push(args.into_iter().map(str::to_owned).collect());
    }
    for format in ["text", "md", "json"] {
        all.push(["report", store, "-o", format].map(str::to_owned).to_vec());
    }
    all.push(["timeline", "--svg", "-c", "uid:2", store].map(str::to_owned).to_vec());
    all.push(["timeline", "--perfetto", store].map(str::to_owned).to_vec());
    all.push(["follow", "uid:1", store, "-s", "1", "--as", "cast"].map(str::to_owned).to_vec());
    all.push(["ls", store, "--fields", "facts,cgroup,name,id"].map(str::to_owned).to_vec());
    all.push(
        ["ls", "--begin", std::str::from_utf8(b"\x1b[2J").expect("ASCII"), store].map(str::to_owned).to_vec(),
    );
    all
}

fn run(args: &[String]) -> Ran {
    afterimage(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn no_output_holds_a_control_character() {
    let store = hostile();
    for args in verbs(store.arg()) {
        let ran = run(&args);
        for text in [ran.stdout(), ran.stderr()] {
            let shows_itself = |c: char| {
                c == '\n' || c == '\\' || escape(c.to_string().as_bytes()).as_str() == c.to_string()
            };
            if let Some((at, c)) = text.char_indices().find(|(_, c)| !shows_itself(*c)) {
                let before: String = text[..at].chars().rev().take(40).collect();
                let before: String = before.chars().rev().collect();
                panic!("{args:?} printed {c:?} after {before:?}");
            }
        }
        assert_ne!(ran.code, 5, "{args:?}: {}", ran.stderr());
    }
}

#[test]
fn outputs_show_the_bytes_escaped_and_whole() {
    let store = hostile();
    let whole = escape(HOSTILE).into_string();
    let ran = afterimage(&["ls", store.arg(), "--no-trunc"]);
    assert!(ran.stdout().contains(&whole), "{}", ran.stdout());
    let document = afterimage(&["ls", store.arg(), "-o", "json"]).json();
    for key in ["name", "image"] {
        let text = document["containers"][0][key].as_str().expect("text").to_owned();
        assert_eq!(unescape(&text).as_deref(), Some(HOSTILE), "{key}");
    }
}

#[test]
fn other_tools_get_the_bytes_escaped_and_whole() {
    let store = hostile();
    let of = |format: &str, place: &str| {
        let ran = afterimage(&["show", "uid:1", store.arg(), "-o", format]);
        let lines = ran.json_lines();
        let mut texts = lines.iter().filter_map(|line| unescape(line.pointer(place)?.as_str()?));
        assert!(texts.any(|bytes| bytes == HOSTILE), "{format} {place}: {lines:?}");
    };
    for place in [
        "/container/name",
        "/container/image/name",
        "/orchestrator/resource/name",
        "/process/executable",
        "/process/args/0",
        "/file/path",
    ] {
        of("ecs", place);
    }
    for place in
        ["/device/container/name", "/process/file/path", "/file/path", "/unmapped/pod", "/unmapped/image"]
    {
        of("ocsf", place);
    }
}

#[test]
fn each_row_is_one_line() {
    let store = hostile();
    for format in ["jsonl", "csv"] {
        let ran = afterimage(&["ls", store.arg(), "-o", format]);
        assert_eq!(ran.stdout().lines().count(), 3, "{}", ran.stdout());
    }
}

#[test]
fn spreadsheet_cells_are_guarded() {
    let ran = afterimage(&["ls", hostile().arg(), "-o", "csv", "--fields", "name"]);
    let second = ran.stdout().lines().nth(1).expect("a row");
    assert!(second.starts_with("\"'=x"), "{second}");
}

#[test]
fn stored_bytes_are_unchanged_by_reading() {
    let store = hostile();
    let before: Vec<_> = store.files().iter().map(|f| std::fs::read(f).expect("read")).collect();
    for args in verbs(store.arg()) {
        run(&args);
    }
    let after: Vec<_> = store.files().iter().map(|f| std::fs::read(f).expect("read")).collect();
    assert!(before == after, "reading wrote");
    let recording = Recording::open(&store.path).expect("opens");
    let mut seen = 0;
    let query = Query { containers: vec![ContainerUid(1)], ..Query::default() };
    recording
        .for_each(&query, &mut |_, event| {
            seen += usize::from(event.bytes(FieldTag::PATH) == Some(HOSTILE));
            std::ops::ControlFlow::Continue(())
        })
        .expect("read");
    assert_eq!(seen, 1);
}
