//! `-o ecs` and `-o ocsf`: rows in other tools' schemas.

use std::path::Path;

use afterimage_format::{Engine, FactKey, FieldTag};
use serde_json::{Value, json};

use crate::{
    fixture::{self, Call, Exec, Fixture, Store, id, task},
    run::{Ran, afterimage},
    show::story,
};

const AT_FDCWD: u64 = 0xffff_ff9c;

fn sample() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/intrusion.aftx");
    path.to_str().expect("UTF-8").to_owned()
}

/// The lines of a verb in a schema.
fn lines(args: &[&str], format: &str) -> Vec<Value> {
    afterimage(&[args, &["-o", format]].concat()).json_lines()
}

/// The first line whose member at `place` is this.
fn first<'a>(lines: &'a [Value], place: &str, wanted: &Value) -> &'a Value {
    let found = lines.iter().find(|line| line.pointer(place) == Some(wanted));
    found.unwrap_or_else(|| panic!("no line with {place} = {wanted}"))
}

/// Members by their places, for one comparison.
fn members(line: &Value, places: &[&str]) -> Value {
    places.iter().map(|place| line.pointer(place).cloned().unwrap_or(Value::Null)).collect()
}

/// What ECS and OCSF ask of every line.
fn check(ecs: &[Value], ocsf: &[Value]) {
    assert_eq!(ecs.len(), ocsf.len());
    for (number, (one, other)) in ecs.iter().zip(ocsf).enumerate() {
        let stamp: jiff::Timestamp = one["@timestamp"].as_str().expect("a time").parse().expect("RFC 3339");
        assert_eq!(other["time"].as_i64(), Some(stamp.as_millisecond()));
        assert_eq!(one["ecs"]["version"], "8.17.0");
        assert_eq!(one["event"]["sequence"], number + 1);
        assert_eq!(one["message"], other["message"]);
        let number = |key: &str| other[key].as_u64().unwrap_or_else(|| panic!("no `{key}`: {other}"));
        assert_eq!(number("type_uid"), number("class_uid") * 100 + number("activity_id"));
        assert_eq!(number("category_uid"), number("class_uid") / 1000);
        assert!((1..=6).contains(&number("severity_id")));
        assert_eq!(other["metadata"]["version"], "1.8.0");
        assert_eq!(other["metadata"]["product"]["name"], "afterimage");
        assert!(other["device"]["type_id"].is_u64());
        let required = match number("class_uid") {
            1001 => &["/actor", "/file/name", "/file/type_id"][..],
            1003 => &["/actor", "/kernel/name", "/kernel/type_id"],
            1004 | 1007 => &["/actor", "/process/pid"],
            1008 => &["/log_name"],
            2004 => &["/finding_info/uid", "/finding_info/title"],
            4001 | 4003 => &[],
            class => panic!("class {class}"),
        };
        assert!(required.iter().all(|place| other.pointer(place).is_some()), "{other}");
        if number("category_uid") == 4 {
            assert!(!other["src_endpoint"].is_null() || !other["dst_endpoint"].is_null(), "{other}");
        }
        check_empty(one);
        check_empty(other);
    }
}

/// What is not known is no member.
fn check_empty(value: &Value) {
    match value {
        Value::Object(map) => {
            assert!(!map.is_empty());
            map.iter().for_each(|(key, value)| {
                assert!(!key.contains('.'), "`{key}` is not nested");
                check_empty(value);
            });
        }
        Value::Array(list) => {
            assert!(!list.is_empty());
            list.iter().for_each(check_empty);
        }
        Value::Null => panic!("null"),
        _ => {}
    }
}

#[test]
fn the_sample_is_told_in_both_schemas() {
    let sample = sample();
    let args = ["show", sample.as_str(), "--setup"];
    let (ecs, ocsf) = (lines(&args, "ecs"), lines(&args, "ocsf"));
    assert!(ecs.len() > 500);
    check(&ecs, &ocsf);
    let of = |place: &str, wanted: Value| first(&ecs, place, &wanted);
    let at = |line: &Value| {
        let number = line["event"]["sequence"].as_u64().expect("a number") as usize;
        &ocsf[number - 1]
    };

    let exec = of("/process/executable", json!("/tmp/.update"));
    assert_eq!(
        members(exec, &["/event/kind", "/event/category", "/event/type", "/event/action", "/event/outcome"]),
        json!(["event", ["process"], ["start"], "exec", "success"])
    );
    assert_eq!(exec["process"]["args"], json!(["/tmp/.update", "35059"]));
    assert_eq!(exec["process"]["parent"]["name"], "sh");
    assert_eq!(
        members(at(exec), &["/type_uid", "/launch_type_id", "/process/file/path", "/process/cmd_line"]),
        json!([100_701, 3, "/tmp/.update", "/tmp/.update 35059"])
    );
    assert_eq!(at(exec)["actor"]["process"]["pid"], at(exec)["process"]["pid"]);
    assert_ne!(at(exec)["actor"]["process"]["file"], at(exec)["process"]["file"], "what it was before");

    let fork = of("/event/action", json!("fork"));
    assert_eq!(at(fork)["process"]["pid"], fork["process"]["pid"]);
    assert_eq!(at(fork)["actor"]["process"]["pid"], fork["process"]["parent"]["pid"]);

    let connect = of("/event/action", json!("connect"));
    assert_eq!(
        members(connect, &["/event/category", "/event/type", "/destination/ip", "/network/transport"]),
        json!([["network"], ["connection", "start"], "127.0.0.1", "tcp"])
    );
    assert_eq!(connect["destination"]["port"], at(connect)["dst_endpoint"]["port"]);
    assert_eq!(at(connect)["type_uid"], 400_101);

    let open = of("/file/path", json!("/etc/ld.so.cache"));
    assert_eq!(
        members(open, &["/event/category", "/event/type", "/event/outcome", "/error/code", "/file/name"]),
        json!([["file"], ["access"], "failure", "ENOENT", "ld.so.cache"])
    );
    assert_eq!(
        members(at(open), &["/type_uid", "/status_id", "/status_code"]),
        json!([100_114, 2, "ENOENT"])
    );

    let unlink = of("/event/action", json!("unlink"));
    assert_eq!(members(unlink, &["/event/type", "/file/directory"]), json!([["deletion"], "/tmp"]));
    assert_eq!(at(unlink)["type_uid"], 100_104);

    let exit = of("/event/action", json!("exit"));
    assert_eq!(members(exit, &["/event/type", "/process/exit_code"]), json!([["end"], 0]));
    assert_eq!(members(at(exit), &["/type_uid", "/exit_code"]), json!([100_702, 0]));

    let container = of("/event/action", json!("exec"));
    assert!(container["container"]["id"].as_str().is_some_and(|id| id.starts_with("5abbc46c44e8")));
    assert_eq!(container["container"]["id"], at(container)["device"]["container"]["uid"]);
    assert_eq!(at(of("/event/action", json!("getuid")))["type_uid"], 100_304, "any other call");
}

#[test]
fn the_same_recording_gives_the_same_bytes() {
    let sample = sample();
    for format in ["ecs", "ocsf"] {
        let run = || afterimage(&["show", &sample, "-o", format]).out;
        assert_eq!(run(), run());
    }
}

#[test]
fn findings_are_alerts_and_losses_are_told() {
    let sample = sample();
    let args = ["show", sample.as_str(), "--findings"];
    let (ecs, ocsf) = (lines(&args, "ecs"), lines(&args, "ocsf"));
    check(&ecs, &ocsf);
    let number = ecs.iter().position(|line| !line["threat"].is_null()).expect("a technique");
    let (alert, finding) = (&ecs[number], &ocsf[number]);
    assert_eq!(
        members(alert, &["/event/kind", "/event/category", "/event/type", "/threat/framework"]),
        json!(["alert", ["intrusion_detection"], ["info"], "MITRE ATT&CK"])
    );
    assert_eq!(
        members(finding, &["/type_uid", "/is_alert", "/finding_info/attacks/0/technique/uid"]),
        json!([200_401, true, alert["threat"]["technique"]["id"][0]])
    );
    assert_eq!(finding["evidences"][0]["process"]["pid"], alert["process"]["pid"]);
    assert_eq!(finding["evidences"][0]["process"]["ptid"], alert["process"]["thread"]["id"]);

    let store = story().seal();
    let args = ["show", "web", store.arg()];
    let ran = afterimage(&[&args[..], &["-o", "ecs"]].concat());
    assert_eq!(ran.code, 4);
    let (ecs, ocsf) = (ran.json_lines(), lines(&args, "ocsf"));
    check(&ecs, &ocsf);
    let lost = first(&ecs, "/event/action", &json!("lost"));
    assert_eq!(
        members(
            lost,
            &["/event/kind", "/event/category", "/error/message", "/afterimage/lost", "/container/name"]
        ),
        json!(["pipeline_error", null, "ring full", 312, "web"])
    );
    assert_eq!(lost["event"]["end"], "2026-11-21T11:58:06.800000000Z");
    let lost = first(&ocsf, "/class_uid", &json!(1008));
    assert_eq!(
        members(lost, &["/type_uid", "/activity_name", "/severity_id", "/status_detail", "/unmapped/lost"]),
        json!([100_899, "lost", 3, "ring full", 312])
    );
    let poll = first(&ecs, "/event/action", &json!("poll"));
    assert_eq!(
        members(poll, &["/@timestamp", "/event/outcome", "/afterimage/result"]),
        json!(["2026-11-21T11:58:04.900000000Z", "success", 1]),
        "an interrupted call has the result of its continuation"
    );
}

/// A process of a pod that renames, links and mounts files, asks a DNS server and is killed.
fn pod() -> Store {
    let mut fixture = Fixture::new();
    let facts: [(FactKey, &[u8]); 6] = [
        (FactKey::PodName, b"web-1"),
        (FactKey::PodNamespace, b"shop"),
        (FactKey::PodUid, b"0f8e4a8c-1111-2222-3333-444455556666"),
        (FactKey::PodContainer, b"app"),
        (FactKey::Image, b"shop/app:3"),
        (FactKey::ImageId, b"sha256:77af"),
    ];
    fixture.container(&fixture::container(1, Engine::Containerd, &id("cafe"), 1.0, &facts));
    let shell = task(410, 1.0);
    fixture.exec(1, 1.0, shell, Exec { argv: &[b"sh", b"-c", b"a b"], ..Exec::default() });
    let mut call = |at: f64, nr: u16, ret: i64, args: &[u64], fields: &[(FieldTag, &[u8])]| {
        fixture.call(1, at, shell, Call { nr, ret, args, fields, ..Call::default() });
    };
    let two = |one: &'static [u8], other: &'static [u8]| [(FieldTag::PATH, one), (FieldTag::PATH2, other)];
    call(2.0, 82, 0, &[0, 0], &two(b"a.txt", b"/etc/b.txt"));
    call(2.1, 82, -13, &[0, 0], &two(b"/a", b"/etc/c"));
    call(2.2, 88, 0, &[0, 0], &two(b"../where", b"/tmp/link"));
    call(2.3, 165, 0, &[0, 0, 0, 0, 0], &two(b"tmpfs", b"/mnt"));
    let new = [(FieldTag::PATH, &b"/tmp/new"[..]), (FieldTag::KPATH, b"/tmp/new")];
    call(2.4, 257, 5, &[AT_FDCWD, 0, 0o301, 0o644], &new);
    call(2.5, 1, 2, &[5, 0, 2], &[(FieldTag::PAYLOAD, b"hi")]);
    call(2.55, 257, 6, &[AT_FDCWD, 0, 0o1101, 0o644], &new);
    let ring = [36, 1, 0xffff_ffff_ffff_ff9c];
    let gone = [(FieldTag::PATH, &b"gone"[..])];
    call(2.57, afterimage_format::EventCode::URING_SUBMIT.0, 0, &ring, &gone);
    call(2.6, 1, 5, &[1, 0, 5], &[(FieldTag::PAYLOAD, b"done\x1b")]);
    call(3.0, 41, 3, &[2, 2, 0], &[]);
    let server: &[u8] = &[2, 0, 0, 53, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
    let question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\0\0\x01\0\x01";
    call(3.1, 44, 29, &[3, 0, 29, 0, 0, 16], &[(FieldTag::SOCKADDR, server), (FieldTag::PAYLOAD, question)]);
    let mut answer = question.to_vec();
    (answer[2], answer[3], answer[7]) = (0x81, 0x80, 1);
    answer.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\x01\x02\x03");
    call(3.2, 45, 45, &[3, 0, 512, 0, 0, 0], &[(FieldTag::SOCKADDR, server), (FieldTag::PAYLOAD, &answer)]);
    let docker = b"\x01\0/run/docker.sock";
    call(3.3, 41, 4, &[1, 1, 0], &[]);
    call(3.4, 42, -111, &[4, 0, 18], &[(FieldTag::SOCKADDR, docker)]);
    call(3.5, 10, 0, &[0x7000, 4096, 7], &[]);
    let args = [9, 1];
    call(4.0, afterimage_format::EventCode::EXIT.0, -9, &args, &[]);
    fixture.seal()
}

/// All that [`pod`] did, in both schemas.
struct Told(Vec<Value>, Vec<Value>);

impl Told {
    fn new() -> Self {
        let store = pod();
        let args = ["grep", "evt.type exists", store.arg()];
        let (ecs, ocsf) = (lines(&args, "ecs"), lines(&args, "ocsf"));
        check(&ecs, &ocsf);
        Self(ecs, ocsf)
    }

    /// The `nth` line of an action.
    fn both(&self, action: &str, nth: usize) -> (&Value, &Value) {
        let mut places = self.0.iter().zip(&self.1).filter(|(line, _)| line["event"]["action"] == action);
        places.nth(nth).unwrap_or_else(|| panic!("no {action}"))
    }
}

#[test]
fn files_are_told() {
    let told = Told::new();
    let both = |action, nth| told.both(action, nth);
    let (one, other) = both("rename", 0);
    assert_eq!(members(one, &["/file/path", "/afterimage/other_path"]), json!(["/etc/b.txt", "/a.txt"]));
    assert_eq!(
        members(other, &["/type_uid", "/file/path", "/file_result/path", "/unmapped/other_path"]),
        json!([100_105, "/a.txt", "/etc/b.txt", null])
    );
    let (one, other) = both("rename", 1);
    assert_eq!(members(one, &["/file/path", "/afterimage/other_path"]), json!(["/a", "/etc/c"]), "refused");
    assert_eq!(members(other, &["/status_id", "/file_result"]), json!([2, null]));
    let (one, other) = both("symlink", 0);
    assert_eq!(members(one, &["/file/path", "/file/target_path"]), json!(["/tmp/link", "../where"]));
    assert_eq!(members(other, &["/type_uid", "/file/type_id"]), json!([100_101, 7]));
    let (one, other) = both("mount", 0);
    assert_eq!(members(one, &["/file/path", "/afterimage/other_path"]), json!(["/mnt", "tmpfs"]));
    assert_eq!(other["type_uid"], 100_112);
    assert_eq!(both("openat", 0).0["event"]["type"], json!(["creation"]));
    assert_eq!(both("openat", 1).0["event"]["type"], json!(["change"]), "what was in it is gone");
    let (one, other) = both("unlinkat", 0);
    assert_eq!(
        members(one, &["/event/type", "/file/path", "/event/outcome"]),
        json!([["deletion"], "/gone", "unknown"]),
        "a request of a ring is what it asks for"
    );
    assert_eq!(members(other, &["/type_uid", "/status_id"]), json!([100_104, 0]));
    let (one, other) = both("write", 0);
    assert_eq!(members(one, &["/event/type", "/file/path"]), json!([["change"], "/tmp/new"]));
    assert_eq!(other["type_uid"], 100_103);
}

#[test]
fn ends_of_connections_and_names_are_told() {
    let told = Told::new();
    let both = |action, nth| told.both(action, nth);
    let (one, other) = both("socket", 0);
    assert_eq!(one["event"]["category"], json!(["network"]));
    assert_eq!(
        members(other, &["/type_uid", "/kernel/system_call"]),
        json!([100_304, "socket"]),
        "a network activity asks for an end"
    );
    let (one, other) = both("sendto", 0);
    assert_eq!(
        members(
            one,
            &["/dns/type", "/dns/id", "/dns/question/name", "/dns/question/type", "/destination/port"]
        ),
        json!(["query", "4660", "www.example", "A", 53])
    );
    assert_eq!(members(other, &["/type_uid", "/query/hostname"]), json!([400_301, "www.example"]));
    let (one, other) = both("recvfrom", 0);
    assert_eq!(
        members(one, &["/dns/type", "/dns/response_code", "/dns/resolved_ip", "/source/ip"]),
        json!(["answer", "NOERROR", ["10.1.2.3"], "10.0.0.2"])
    );
    assert_eq!(
        members(other, &["/type_uid", "/rcode_id", "/answers/0/rdata"]),
        json!([400_302, 0, "10.1.2.3"])
    );
    let (one, other) = both("connect", 0);
    assert_eq!(
        members(one, &["/destination/address", "/event/outcome"]),
        json!(["/run/docker.sock", "failure"])
    );
    assert_eq!(members(other, &["/type_uid", "/dst_endpoint/name"]), json!([400_105, "/run/docker.sock"]));
}

#[test]
fn memory_ends_and_pods_are_told() {
    let told = Told::new();
    let both = |action, nth| told.both(action, nth);
    assert_eq!(
        members(both("mprotect", 0).1, &["/type_uid", "/size", "/requested_permissions"]),
        json!([100_405, 4096, 7])
    );
    let (one, other) = both("exit", 0);
    assert_eq!(members(one, &["/afterimage/signal", "/process/exit_code"]), json!(["SIGKILL", null]));
    assert_eq!(members(other, &["/unmapped/signal", "/exit_code"]), json!(["SIGKILL", null]));
    assert_eq!(
        one["orchestrator"],
        json!({
            "type": "kubernetes",
            "namespace": "shop",
            "resource": {"type": "pod", "name": "web-1", "id": "0f8e4a8c-1111-2222-3333-444455556666"},
        })
    );
    assert_eq!(
        members(one, &["/container/name", "/container/image/name", "/host/name", "/process/command_line"]),
        json!(["app", "shop/app:3", "node-7", "sh -c \"a b\""])
    );
    let container = &other["device"]["container"];
    assert_eq!(
        members(container, &["/image/uid", "/image/name", "/pod_uuid", "/orchestrator"]),
        json!(["sha256:77af", "shop/app:3", "0f8e4a8c-1111-2222-3333-444455556666", "kubernetes"])
    );
}

#[test]
fn other_rows_with_a_time_are_told_and_rows_without_are_refused() {
    let store = pod();
    let lookups = ["net", store.arg(), "--lookups"];
    let (ecs, ocsf) = (lines(&lookups, "ecs"), lines(&lookups, "ocsf"));
    check(&ecs, &ocsf);
    assert_eq!(members(&ecs[0], &["/dns/question/name", "/process/pid"]), json!(["www.example", 410]));
    assert_eq!(members(&ocsf[0], &["/class_uid", "/src_endpoint/hostname"]), json!([4003, "node-7"]));

    let logs = ["logs", store.arg()];
    let (ecs, ocsf) = (lines(&logs, "ecs"), lines(&logs, "ocsf"));
    check(&ecs, &ocsf);
    assert_eq!(ecs[0]["process"]["io"]["text"], "done\\x1b");
    assert_eq!(members(&ocsf[0], &["/type_uid", "/unmapped/stream"]), json!([100_799, "stdout"]));

    let dir = tempfile::tempdir().expect("a directory");
    let rules = dir.path().join("rules.yaml");
    let rule = "- rule: Rename\n  desc: d\n  condition: evt.type = rename\n  output: o\n  priority: ERROR\n  \
                tags: [T1036.004, host]\n";
    std::fs::write(&rules, rule).expect("written");
    let hunt = ["hunt", "--rules", rules.to_str().expect("UTF-8"), store.arg()];
    let (ecs, ocsf) = (lines(&hunt, "ecs"), lines(&hunt, "ocsf"));
    check(&ecs, &ocsf);
    assert_eq!(
        members(&ecs[0], &["/rule/name", "/tags", "/threat/technique"]),
        json!(["Rename", ["T1036.004", "host"], {"id": ["T1036"], "subtechnique": {"id": ["T1036.004"]}}])
    );
    assert_eq!(
        members(&ocsf[0], &["/severity_id", "/finding_info/analytic/name", "/evidences/0/file/path"]),
        json!([4, "Rename", "/a.txt"])
    );

    let refused = |args: &[&str]| -> Ran { afterimage(args) };
    for (format, who) in [("ecs", "ECS"), ("ocsf", "OCSF")] {
        let ran = refused(&["ls", store.arg(), "-o", format]);
        assert_eq!((ran.code, ran.stdout()), (2, ""));
        assert!(
            ran.stderr().contains(&format!("no column `time`, which {who} asks for")),
            "{}",
            ran.stderr()
        );
        let ran = refused(&["show", store.arg(), "-o", format, "--fields", "time,event"]);
        assert_eq!(ran.code, 2);
        assert!(ran.stderr().contains("--fields"), "{}", ran.stderr());
    }
}

/// A container's numbers looked like the host's.
#[test]
fn numbers_for_processes_are_told_with_the_ids_on_the_host() {
    let rows = afterimage(&["show", &sample(), "--setup", "-o", "jsonl"]).json_lines();
    let events: Vec<&Value> = rows.iter().filter(|row| row["kind"] == "event").collect();
    let has = |name: &str, pid: &Value, ret: &Value| {
        events.iter().any(|row| row["event"] == name && row["pid"] == *pid && row["ret"] == *ret)
    };
    let payload = events
        .iter()
        .filter(|row| row["flags"].as_array().is_none_or(|flags| !flags.contains(&json!("setup"))));
    let (mut made, mut waited) = (0, 0);
    for row in payload.filter(|row| row["ret"].as_i64().is_some_and(|ret| ret > 0)) {
        let Some(task) =
            row["tasks"].as_array().and_then(|tasks| tasks.iter().find(|task| task["name"] == "result"))
        else {
            continue;
        };
        assert_eq!((&task["number"], &task["kind"]), (&row["ret"], &json!("task")));
        assert_ne!(task["number"], task["pid"], "{row}");
        match row["event"].as_str() {
            Some("clone" | "clone3" | "vfork") => {
                made += 1;
                assert!(has("fork", &row["pid"], &task["pid"]), "{row}");
            }
            Some("wait4") => {
                waited += 1;
                let ended = |row: &&&Value| row["event"] == "exit" && row["pid"] == task["pid"];
                assert!(events.iter().find(ended).is_some(), "{row}");
                let shown = row["detail"].as_str().expect("text");
                assert!(shown.contains(&format!("-> {}:pid {}", task["number"], task["pid"])), "{row}");
            }
            _ => {}
        }
    }
    assert!(made > 0 && waited > 0, "{made} {waited}");
}
