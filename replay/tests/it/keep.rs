//! `afterimage merge` and `recover`.

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
