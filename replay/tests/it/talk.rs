//! `afterimage net`, `follow`, `logs`, `diff` and `verify`.

use afterimage_format::{Engine, FactKey, FieldTag, layout};

use crate::{
    fixture::{self, Call, Exec, Fixture, Store, id, task},
    run::afterimage,
    show::story,
};

/// 127.0.0.1:4444 as a `struct sockaddr`.
const PEER: &[u8] = &[2, 0, 0x11, 0x5c, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];

/// A shell that talks over TCP and to its standard streams, with escape sequences in what it reads.
fn talker() -> Store {
    let mut fixture = Fixture::new();
    fixture.container(&fixture::container(1, Engine::Docker, &id("3ad7"), 1.0, &[(FactKey::Name, b"web")]));
    fixture.container(&fixture::container(2, Engine::Docker, &id("cafe"), 1.0, &[(FactKey::Name, b"quiet")]));
    let shell = task(410, 1.0);
    fixture.exec(1, 1.0, shell, Exec { argv: &[b"sh"], ..Exec::default() });
    fixture.exec(2, 1.0, task(510, 1.0), Exec { argv: &[b"sh"], ..Exec::default() });
    fixture.call(1, 2.0, shell, Call { nr: 41, ret: 3, args: &[2, 1, 0], ..Call::default() });
    let fields: [(FieldTag, &[u8]); 2] = [(FieldTag::SOCKADDR, PEER), (FieldTag::PEER, PEER)];
    fixture.call(
        1,
        2.1,
        shell,
        Call { nr: 42, ret: 0, args: &[3, 0, 16], fields: &fields, ..Call::default() },
    );
    let mut io = |at: f64, nr: u16, fd: u64, bytes: &[u8], moved: i64| {
        let fields: [(FieldTag, &[u8]); 1] = [(FieldTag::PAYLOAD, bytes)];
        let args = [fd, 0, moved.unsigned_abs()];
        fixture.call(1, at, shell, Call { nr, ret: moved, args: &args, fields: &fields, ..Call::default() });
    };
    io(2.2, 1, 3, b"hello\n", 6);
    io(2.3, 0, 3, b"id\x1b]0;own\x07\n", 11);
    io(2.4, 1, 3, b"uid=0(root)\n", 5_000);
    io(2.5, 1, 1, b"first li", 8);
    io(2.6, 1, 2, b"warning\n", 8);
    io(2.7, 1, 1, b"ne\x1b[2J\nsecond\n", 14);
    // `cat file` of busybox: the kernel moves 43 bytes from a file to standard output and to the connection.
    fixture.call(1, 2.8, shell, Call { nr: 40, ret: 43, args: &[1, 5, 0, 4096], ..Call::default() });
    fixture.exit(1, 3.0, shell, 0);
    fixture.exit(2, 3.0, task(510, 1.0), 0);
    fixture.seal()
}

#[test]
fn net_tells_peers_and_bytes_both_ways() {
    let store = talker();
    let document = afterimage(&["net", "web", store.arg(), "-o", "json"]).json();
    let rows = document["conversations"].as_array().expect("a list");
    assert_eq!(rows.len(), 1, "{document}");
    let talk = &rows[0];
    assert_eq!((&talk["peer"], &talk["peer_port"]), (&"127.0.0.1:4444".into(), &4444.into()));
    assert_eq!((&talk["direction"], &talk["protocol"]), (&"out".into(), &"tcp".into()));
    assert_eq!((&talk["sent"], &talk["received"]), (&5_006.into(), &11.into()));
    assert_eq!(talk["by"], serde_json::json!(["410 sh"]));
    assert_eq!(afterimage(&["net", "quiet", store.arg()]).code, 1);
}

#[test]
fn a_scan_of_ports_is_told_with_its_ports() {
    let mut fixture = Fixture::new();
    fixture.container(&fixture::container(1, Engine::Docker, &id("3ad7"), 1.0, &[(FactKey::Name, b"web")]));
    let scanner = task(410, 1.0);
    fixture.exec(1, 1.0, scanner, Exec { argv: &[b"scan"], ..Exec::default() });
    let address =
        |port: u16| [&[2, 0][..], &port.to_be_bytes(), &[127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
    // What the kernel has when it looks: an address that has lost its port.
    let left = address(0);
    for port in [22, 23, 80] {
        let (asked, at) = (address(port), 2.0 + f64::from(port) / 100.0);
        fixture.call(1, at, scanner, Call { nr: 41, ret: 3, args: &[2, 1, 0], ..Call::default() });
        let fields: [(FieldTag, &[u8]); 2] = [(FieldTag::SOCKADDR, &asked), (FieldTag::PEER, &left)];
        let refused = Call { nr: 42, ret: -111, args: &[3, 0, 16], fields: &fields, ..Call::default() };
        fixture.call(1, at + 0.001, scanner, refused);
    }
    let store = fixture.seal();
    let document = afterimage(&["net", "web", store.arg(), "-o", "json"]).json();
    let rows = document["conversations"].as_array().expect("a list");
    let ports: Vec<_> = rows.iter().map(|row| row["peer_port"].as_u64().expect("a port")).collect();
    assert_eq!(ports, [22, 23, 80]);
    assert!(rows.iter().all(|row| row["failures"] == 1 && row["claimed"] == true), "{document}");
    let found = afterimage(&["grep", "evt.type=connect and fd.sport=22", store.arg(), "-o", "json"]).json();
    let rows = found["events"].as_array().expect("a list");
    let details: Vec<_> = rows.iter().map(|row| row["detail"].as_str().expect("text")).collect();
    assert_eq!(details, ["3 127.0.0.1:22"]);
}

/// A TLS ClientHello with a server name.
fn client_hello(name: &[u8]) -> Vec<u8> {
    let sized = |width: usize, body: &[u8]| [&(body.len() as u64).to_be_bytes()[8 - width..], body].concat();
    let list = sized(2, &[&[0][..], &sized(2, name)].concat());
    let extensions = sized(2, &[&[0, 0][..], &sized(2, &list)].concat());
    let parts: [&[u8]; 6] = [&[3, 3], &[0; 32], &[0], &[0, 2, 0x13, 1], &[1, 0], &extensions];
    let handshake = [&[1][..], &sized(3, &parts.concat())].concat();
    [&[22, 3, 1][..], &sized(2, &handshake)].concat()
}

#[test]
fn the_name_that_a_tls_client_asked_for_is_found_from_then_on() {
    let mut fixture = Fixture::new();
    fixture.container(&fixture::container(1, Engine::Docker, &id("3ad7"), 1.0, &[(FactKey::Name, b"web")]));
    let client = task(410, 1.0);
    fixture.exec(1, 1.0, client, Exec { argv: &[b"curl"], ..Exec::default() });
    let mut call = |at: f64, nr: u16, args: &[u64], ret: i64, fields: &[(FieldTag, &[u8])]| {
        fixture.call(1, at, client, Call { nr, ret, args, fields, ..Call::default() });
    };
    let ends: [(FieldTag, &[u8]); 3] = [
        (FieldTag::SOCKADDR, PEER),
        (FieldTag::PEER, PEER),
        (FieldTag::LOCAL, &[&[2, 0, 0x9c, 0x40][..], &PEER[4..]].concat()),
    ];
    let hello = client_hello(b"files.example");
    call(2.0, 41, &[2, 1, 0], 3, &[]);
    call(2.1, 42, &[3, 0, 16], 0, &ends);
    call(2.2, 1, &[3, 0, 4], 4, &[(FieldTag::PAYLOAD, b"EHLO")]);
    call(2.3, 1, &[3, 0, 90], hello.len() as i64, &[(FieldTag::PAYLOAD, &hello)]);
    call(2.4, 33, &[3, 7], 7, &[]);
    call(2.5, 0, &[7, 0, 90], 3, &[(FieldTag::PAYLOAD, b"abc")]);
    call(2.6, 3, &[7], 0, &[]);
    call(2.7, 3, &[3], 0, &[]);
    // Another connection between the same ends.
    call(3.0, 41, &[2, 1, 0], 3, &[]);
    call(3.1, 42, &[3, 0, 16], 0, &ends);
    call(3.2, 1, &[3, 0, 5], 5, &[(FieldTag::PAYLOAD, b"plain")]);
    let store = fixture.seal();
    let events = |filter: &str| {
        let document = afterimage(&["grep", filter, store.arg(), "-o", "json"]).json();
        let rows = document["events"].as_array().expect("a list").clone();
        rows.iter().map(|row| row["event"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(events("fd.sni = files.example"), ["write", "dup2", "read", "close", "close"]);
    // The greeting is learnt from where only something else is looked for.
    assert_eq!(events("evt.type = close and fd.sni endswith .example"), ["close", "close"]);
    assert_eq!(events("evt.type = write and not fd.sni exists"), ["write", "write"]);
}

/// What `.update` did was told of `sh`, which it became later.
#[test]
fn who_talks_is_called_what_it_was_called_then() {
    let mut fixture = Fixture::new();
    fixture.container(&fixture::container(1, Engine::Docker, &id("3ad7"), 1.0, &[(FactKey::Name, b"web")]));
    let process = task(410, 1.0);
    let dropped = Exec {
        exe: b"/tmp/.update",
        argv: &[b".update"],
        comm: b".update",
        exe_flags: layout::exec::EXE_UPPER_LAYER,
        ..Exec::default()
    };
    fixture.exec(1, 1.0, process, dropped);
    let fields: [(FieldTag, &[u8]); 2] = [(FieldTag::SOCKADDR, PEER), (FieldTag::PEER, PEER)];
    let mut call = |at: f64, nr: u16, args: &[u64], ret: i64, fields: &[(FieldTag, &[u8])]| {
        fixture.call(1, at, process, Call { nr, ret, args, fields, ..Call::default() });
    };
    call(2.0, 41, &[2, 1, 0], 3, &[]);
    call(2.1, 42, &[3, 0, 16], 0, &fields);
    call(2.2, 1, &[3, 0, 2], 2, &[(FieldTag::PAYLOAD, b"a\n")]);
    call(2.3, 41, &[2, 1, 0], 4, &[]);
    call(2.4, 50, &[4, 1], 0, &[]);
    fixture.exec(1, 3.0, process, Exec { argv: &[b"sh"], ..Exec::default() });
    let moved =
        Call { nr: 1, ret: 2, args: &[3, 0, 2], fields: &[(FieldTag::PAYLOAD, b"b\n")], ..Call::default() };
    fixture.call(1, 3.1, process, moved);
    let store = fixture.seal();
    let rows = |verb: &[&str], of: &str| {
        let document =
            afterimage(&[&[verb[0], "web", store.arg(), "-o", "json"], &verb[1..]].concat()).json();
        document[of].as_array().expect("a list").clone()
    };
    assert_eq!(rows(&["net"], "conversations")[0]["by"], serde_json::json!(["410 .update", "410 sh"]));
    assert_eq!(rows(&["net", "--listeners"], "listeners")[0]["process"], ".update");
    assert_eq!(rows(&["follow"], "streams")[0]["by"], serde_json::json!(["410 .update:3", "410 sh:3"]));
    let chunks = rows(&["follow", "--stream", "1"], "chunks");
    let names: Vec<_> = chunks.iter().map(|row| row["process"].as_str().expect("a name")).collect();
    assert_eq!(names, [".update", "sh"]);
    assert_eq!(rows(&["tree"], "processes")[0]["process"], "/bin/sh [was /tmp/.update, upper layer]");
}

/// The number of the stream that is a TCP connection.
fn tcp_stream(store: &Store) -> String {
    let document = afterimage(&["follow", "web", store.arg(), "-o", "json"]).json();
    let rows = document["streams"].as_array().expect("a list").clone();
    let tcp = rows.iter().find(|r| r["type"] == "tcp").expect("a TCP stream");
    assert_eq!((&tcp["in"], &tcp["out"], &tcp["complete"]), (&11.into(), &5_006.into(), &false.into()));
    tcp["stream"].to_string()
}

#[test]
fn follow_shows_a_session_both_ways_and_what_is_missing() {
    let store = talker();
    let number = tcp_stream(&store);
    let run =
        |more: &[&str]| afterimage(&[&["follow", "web", store.arg(), "--stream", &number], more].concat());
    let ran = run(&[]);
    assert_eq!(
        ran.stdout(),
        "   +1.200000 > hello\n   +1.300000 < id\\x1b]0;own\\x07\n   +1.400000 > uid=0(root)\n   \
         +1.400000 > [4988 bytes not recorded]\n"
    );
    assert!(ran.stderr().contains("4988 bytes of the stream were not recorded"), "{}", ran.stderr());
    assert_eq!(run(&["--way", "in", "--as", "raw"]).out, b"id\x1b]0;own\x07\n");
    let hex = run(&["--way", "in", "--as", "hex"]);
    assert!(hex.stdout().contains("00000000  69 64 1b 5d"), "{}", hex.stdout());
    assert!(hex.stdout().contains("id.]0;own.."), "{}", hex.stdout());
    let chunks = run(&["-o", "json"]).json();
    assert_eq!(chunks["chunks"][1]["bytes"], "id\\x1b]0;own\\x07\\n");
    assert_eq!(run(&["--stream", "99"]).code, 2);
}

#[test]
fn followed_bytes_are_saved_as_they_were() {
    let store = talker();
    let dir = tempfile::tempdir().expect("a directory");
    let to = dir.path().join("in.bin");
    let number = tcp_stream(&store);
    let to_arg = to.to_str().expect("UTF-8");
    let args = ["follow", "web", store.arg(), "-s", &number, "--way", "in", "--to", to_arg];
    assert_eq!((afterimage(&args).code, afterimage(&args).code), (0, 2), "never overwritten");
    assert_eq!(std::fs::read(&to).expect("saved"), b"id\x1b]0;own\x07\n");
}

#[test]
fn a_session_is_written_as_an_asciicast() {
    let store = talker();
    let number = tcp_stream(&store);
    let run = |more: &[&str]| {
        afterimage(&[&["follow", "web", store.arg(), "-s", &number, "--as", "cast"], more].concat())
    };
    let ran = run(&[]);
    let lines: Vec<serde_json::Value> =
        ran.stdout().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let (header, events) = lines.split_first().expect("a header");
    assert_eq!(
        (&header["version"], &header["width"], &header["height"]),
        (&2.into(), &80.into(), &24.into())
    );
    assert_eq!(header["timestamp"], 1_795_262_284);
    assert!(
        header["title"].as_str().is_some_and(|title| title.ends_with("(web): tcp 127.0.0.1:4444")),
        "{header}"
    );
    let texts = |code: &str| -> Vec<&str> {
        events.iter().filter(|event| event[1] == code).filter_map(|event| event[2].as_str()).collect()
    };
    assert_eq!(texts("o"), ["hello\r\n", "uid=0(root)\r\n"]);
    assert_eq!(texts("i"), ["id\\x1b]0;own\\x07\n"]);
    assert_eq!(texts("m"), ["4988 bytes not recorded"]);
    let times: Vec<f64> = events.iter().filter_map(|event| event[0].as_f64()).collect();
    assert!(times.len() == events.len() && times.is_sorted() && times[0] == 0.0, "{times:?}");
    assert!(ran.stdout().is_ascii() && !ran.stdout().contains('\x1b'));
    let dir = tempfile::tempdir().expect("a directory");
    let to = dir.path().join("session.cast");
    assert_eq!(run(&["--to", to.to_str().expect("UTF-8")]).code, 0);
    assert_eq!(std::fs::read_to_string(&to).expect("saved"), ran.stdout());
    assert_eq!(run(&["-o", "json"]).code, 2);
}

#[test]
fn logs_put_lines_together_and_leave_sockets_out() {
    let store = talker();
    let run = |more: &[&str]| afterimage(&[&["logs", "web", store.arg()], more].concat());
    assert_eq!(run(&[]).stdout(), "warning\nfirst line\\x1b[2J\nsecond\n[43 bytes not recorded]\n");
    assert_eq!(run(&["--only", "stderr"]).stdout(), "warning\n");
    assert_eq!(run(&["--raw", "--only", "stdout"]).out, b"first line\x1b[2J\nsecond\n");
    assert!(run(&["-t", "--only", "stderr"]).stdout().starts_with("2026-11-21 11:58:04.600 warning"));
    let rows = run(&["-o", "json"]).json();
    assert_eq!(rows["writes"][0]["text"], "first li");
    let silent = afterimage(&["logs", "quiet", store.arg()]);
    assert_eq!((silent.code, silent.stdout()), (1, ""));
    assert!(silent.stderr().contains("(quiet) wrote nothing to its standard output and"), "{silent:?}");
    let none = run(&["--only", "stderr", "-e", "+500ms"]);
    assert!(none.code == 1 && none.stderr().contains("standard error in this range"), "{none:?}");
}

/// `echo x >&2` in a shell was told as standard output, and its output afterwards as another stream.
#[test]
fn what_a_shell_puts_elsewhere_is_in_the_logs_where_it_went() {
    const WRITE: u16 = 1;
    const DUP2: u16 = 33;
    const FCNTL: u16 = 72;
    let mut fixture = Fixture::new();
    fixture.container(&fixture::container(1, Engine::Docker, &id("3ad7"), 1.0, &[(FactKey::Name, b"web")]));
    let process = task(410, 1.0);
    fixture.exec(1, 1.0, process, Exec { argv: &[b"sh"], ..Exec::default() });
    let calls: [(u16, &[u64], i64, &[u8]); 6] = [
        (WRITE, &[1, 0, 5], 5, b"out1\n"),
        (FCNTL, &[1, 0, 10], 10, b""),
        (DUP2, &[2, 1], 1, b""),
        (WRITE, &[1, 0, 5], 5, b"err1\n"),
        (DUP2, &[10, 1], 1, b""),
        (WRITE, &[1, 0, 5], 5, b"out2\n"),
    ];
    for (seconds, (nr, args, ret, bytes)) in (2..).zip(calls) {
        let payload = [(FieldTag::PAYLOAD, bytes)];
        let fields = if bytes.is_empty() { &[][..] } else { &payload };
        fixture.call(1, f64::from(seconds), process, Call { nr, ret, args, fields, ..Call::default() });
    }
    let store = fixture.seal();
    let only = |which: &str| afterimage(&["logs", "web", store.arg(), "--only", which]).stdout().to_owned();
    assert_eq!((only("stdout").as_str(), only("stderr").as_str()), ("out1\nout2\n", "err1\n"));
    let streams = afterimage(&["follow", "web", store.arg(), "-o", "json"]).json();
    let sums: Vec<_> =
        streams["streams"].as_array().expect("a list").iter().map(|s| s["out"].clone()).collect();
    assert_eq!(sums, [10, 5]);
}

#[test]
fn diff_shows_what_only_one_of_two_did() {
    let store = talker();
    let document = afterimage(&["diff", "web", "quiet", store.arg(), "-o", "json"]).json();
    let rows = document["differences"].as_array().expect("a list").clone();
    let has = |what: &str, item: &str, side: &str| {
        rows.iter().any(|r| r["what"] == what && r["item"] == item && r["in"] == side)
    };
    assert!(has("peer", "tcp to 127.0.0.1:4444", "a"), "{document}");
    assert!(has("call", "connect", "a"), "{document}");
    assert!(!rows.iter().any(|r| r["item"] == "/bin/sh"), "both ran it: {document}");
    let all = afterimage(&["diff", "web", "quiet", "--all", store.arg(), "-o", "csv"]);
    assert!(all.stdout().contains("program,/bin/sh,1,1,both"), "{}", all.stdout());
    assert_eq!(afterimage(&["diff", "web", "web", store.arg()]).code, 1);
}

#[test]
fn verify_finds_a_flipped_byte_and_says_where() {
    let store = story().seal();
    let ran = afterimage(&["verify", store.arg()]);
    assert_eq!(ran.code, 0, "{}", ran.stdout());
    assert!(ran.stdout().contains("consistent, signer not pinned"), "{}", ran.stdout());
    let segment =
        store.files().into_iter().find(|f| f.extension().is_some_and(|e| e == "aft")).expect("a segment");
    let mut bytes = std::fs::read(&segment).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(&segment, bytes).expect("written");
    let ran = afterimage(&["verify", store.arg(), "-o", "json"]);
    assert_eq!(ran.code, 3, "{}", ran.stdout());
    let document = ran.json();
    assert_eq!(document["recordings"][0]["good"], false);
    let (totals, own) = (&document["totals"], &document["recordings"][0]);
    for member in ["good", "blocks", "signed_blocks", "events"] {
        assert_eq!(totals[member], own[member], "{member}");
    }
    assert_eq!(totals["findings"], document["findings"].as_array().map_or(0, Vec::len));
    assert!(totals["damage"].as_u64().is_some_and(|damage| damage > 0), "{totals}");
    let twice = afterimage(&["verify", store.arg(), store.arg(), "-o", "json"]).json();
    assert_eq!(twice["totals"]["recordings"], 2);
    assert_eq!(twice["totals"]["events"].as_u64(), totals["events"].as_u64().map(|events| 2 * events));
    assert!(
        document["findings"].as_array().is_some_and(|f| f.iter().any(|f| f["damage"] == true)),
        "{document}"
    );
    let other = afterimage(&["verify", store.arg(), "--key", &"ab".repeat(32)]);
    assert_eq!(other.code, 3);
    assert_eq!(afterimage(&["verify", store.arg(), "--key", "ab"]).code, 5, "no such file");
}
