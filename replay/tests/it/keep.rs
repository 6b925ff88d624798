//! `afterimage extract` of parts, `merge` and `recover`.

use afterimage_format::{Engine, FactKey};

use crate::{
    fixture::{self, Exec, Fixture, Store, id, task},
    run::afterimage,
};

/// Two containers of one store.
fn two() -> Store {
    let mut fixture = Fixture::new();
    for (uid, name, start) in [(1, "web", 1.0), (2, "db", 2.0)] {
        let name = [(FactKey::Name, name.as_bytes())];
        fixture.container(&fixture::container(uid, Engine::Docker, &id(&format!("{uid}ad7")), start, &name));
        let shell = task(400 + uid as u32 * 10, start);
        fixture.exec(uid, start, shell, Exec { argv: &[b"sh"], ..Exec::default() });
        fixture.exit(uid, start + 1.0, shell, 0);
    }
    fixture.seal()
}

#[test]
fn merge_and_recover_make_files_that_list_and_verify_alone() {
    let store = two();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    for name in ["web", "db"] {
        assert_eq!(afterimage(&["extract", name, store.arg(), "--to", &path(name)]).code, 0);
    }
    let ran =
        afterimage(&["merge", &path("web"), &path("db"), &path("web"), "--to", &path("all"), "-o", "json"]);
    assert_eq!(ran.code, 0);
    let merge = &ran.json()["merges"][0];
    assert_eq!(
        (&merge["containers"], &merge["events"], &merge["damaged_blocks"]),
        (&2.into(), &4.into(), &0.into())
    );
    assert_eq!(merge["path"], path("all").as_str());
    let names = |path: &str| {
        let list = afterimage(&["ls", path, "-o", "json"]).json();
        let rows = list["containers"].as_array().expect("a list").clone();
        rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&path("all")), ["web", "db"]);
    assert_eq!(afterimage(&["verify", &path("all")]).code, 0);
    assert_eq!(afterimage(&["merge", &path("web"), "--to", &path("all")]).code, 2, "never overwritten");

    let ran = afterimage(&["recover", store.arg(), "--to", &path("recovered")]);
    assert_eq!(ran.code, 0);
    assert_eq!(names(&path("recovered")), ["web", "db"]);
    assert_eq!(afterimage(&["verify", &path("recovered")]).code, 0);
}

/// Two containers with three blocks each: one every ten seconds, with an exec in each.
fn long() -> Store {
    let mut fixture = Fixture::new();
    for (uid, name) in [(1, "web"), (2, "db")] {
        let name = [(FactKey::Name, name.as_bytes())];
        fixture.container(&fixture::container(uid, Engine::Docker, &id(&format!("{uid}ad7")), 1.0, &name));
    }
    for (number, at) in [1.0, 11.0, 21.0].into_iter().enumerate() {
        for uid in [1, 2] {
            let program = format!("p{uid}{number}").into_bytes();
            let shell = task(400 + uid as u32 * 10 + number as u32, at);
            fixture.exec(uid, at, shell, Exec { argv: &[&program], comm: &program, ..Exec::default() });
            fixture.exit(uid, at + 1.0, shell, 0);
            fixture.cut(uid);
        }
    }
    fixture.seal()
}

#[test]
fn a_part_by_range_or_filter_has_whole_blocks_proves_itself_and_is_no_complete_recording() {
    let store = long();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    let programs = |path: &str| {
        let list = afterimage(&["show", "-f", "evt.type = execve", path, "-o", "json", "-c", "uid:1"]).json();
        let rows = list["events"].as_array().expect("a list").clone();
        rows.iter().map(|row| row["detail"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    let whole = programs(store.arg());
    assert_eq!(whole.len(), 3, "{whole:?}");
    let part = serde_json::json!(["recording ended before it", "events missing"]);
    let rows = |path: &str| afterimage(&["ls", path, "-o", "json"]).json()["containers"].clone();

    let ran = afterimage(&[
        "extract",
        "web",
        store.arg(),
        "--begin",
        "+9s",
        "--end",
        "+11s",
        "--to",
        &path("range"),
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr());
    assert_eq!(programs(&path("range")), whole[1..2]);
    assert_eq!(afterimage(&["verify", &path("range")]).code, 0);
    let listed = rows(&path("range"));
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "of the other nothing");
    assert_eq!(listed[0]["partial"], part);

    let filter = "proc.name = p11 or proc.name = p22";
    let ran = afterimage(&["extract", store.arg(), "-f", filter, "--to", &path("filter")]);
    assert_eq!(ran.code, 0, "{}", ran.stderr());
    assert_eq!(programs(&path("filter")), whole[1..2]);
    let listed = rows(&path("filter"));
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "of each what passes");
    assert!((0..2).all(|n| listed[n]["partial"] == part), "{listed}");
    assert_eq!(afterimage(&["verify", &path("filter")]).code, 0);

    // A part of a part tells of the whole, and parts put together are the whole.
    for (name, begin, end) in [("first", "+0s", "+3s"), ("last", "+19s", "+25s")] {
        let ran = afterimage(&["extract", "web", store.arg(), "-b", begin, "-e", end, "--to", &path(name)]);
        assert_eq!(ran.code, 0, "{}", ran.stderr());
    }
    let ran = afterimage(&["extract", "web", &path("first"), "--to", &path("again")]);
    assert_eq!(ran.code, 0, "{}", ran.stderr());
    assert_eq!(rows(&path("again"))[0]["partial"], part);
    let ran = afterimage(&["merge", &path("first"), &path("range"), &path("last"), "--to", &path("all")]);
    assert_eq!(ran.code, 0, "{}", ran.stderr());
    assert_eq!(programs(&path("all")), whole);
    assert_eq!(rows(&path("all"))[0]["partial"], serde_json::json!(["recording ended before it"]));

    let ran = afterimage(&["extract", store.arg(), "-f", "proc.name = nobody", "--to", &path("none")]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr().contains("no file was made"), "{}", ran.stderr());
    assert!(!dir.path().join("none").exists());
    let ran = afterimage(&["extract", store.arg(), "--incident", "x", "-b", "+1s"]);
    assert_eq!(ran.code, 2);
}

/// Blocks are copied whole: what came along was told by nothing.
#[test]
fn a_part_says_what_it_has_beside_what_was_asked_for_and_what_that_was() {
    let store = long();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    let extract = |to: &str, more: &[&str]| {
        let ran = afterimage(&[&["extract"], more, &["--to", to, "-o", "json"]].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr());
        let row = ran.json()["extracts"][0].clone();
        (row["events"].as_u64(), row["asked"].as_u64(), ran.stderr().to_owned())
    };
    let count = |filter: &str, path: &str, more: &[&str]| {
        let ran = afterimage(&[&["grep", filter, path, "--count", "--setup"], more].concat());
        ran.stdout().trim().parse::<u64>().ok()
    };
    let asked_for =
        |path: &str| afterimage(&["info", path, "-o", "json"]).json()["recordings"][0]["asked"].clone();

    let range = ["-b", "+9s", "-e", "+11s"];
    let (all, asked, said) = extract(&path("range"), &[&["web", store.arg()], &range[..]].concat());
    assert_eq!(all, count("evt.type exists", &path("range"), &[]));
    assert_eq!(asked, count("evt.type exists", store.arg(), &[&["-c", "web"], &range[..]].concat()));
    assert!(all > asked && said.contains("come along, because blocks are copied whole"), "{said}");
    let told = asked_for(&path("range"));
    let [one] = told[0]["parts"].as_array().expect("a list").as_slice() else { panic!("{told}") };
    assert_eq!((&told[0]["containers"], &one["container_uid"]), (&1.into(), &1.into()), "{told}");
    let exact = ["-b", one["begin"].as_str().expect("a time"), "-e", one["end"].as_str().expect("a time")];
    assert_eq!(asked, count("evt.type exists", store.arg(), &[&["-c", "web"], &exact[..]].concat()));
    let sheet = afterimage(&["info", &path("range")]);
    assert!(sheet.stdout().contains("asked for") && sheet.stdout().contains("(web) from "), "{sheet:?}");

    let filter = "proc.name = p11 or proc.name = p22";
    let (all, asked, said) = extract(&path("filter"), &[store.arg(), "-f", filter]);
    assert_eq!(all, count("evt.type exists", &path("filter"), &[]));
    assert_eq!((asked, all > asked), (count(filter, store.arg(), &[]), said.contains("others come along")));
    assert_eq!(asked_for(&path("filter"))[0]["filters"][0], filter);

    // A part of it still says of what it is one, and what is whole says nothing.
    extract(&path("again"), &["web", &path("range")]);
    assert_eq!(asked_for(&path("again")), told);
    let (all, asked, said) = extract(&path("whole"), &["web", store.arg()]);
    assert_eq!((all, said.as_str(), asked_for(&path("whole"))), (asked, "", serde_json::json!([])));
}
