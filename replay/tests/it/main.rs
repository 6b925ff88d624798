//! Tests of `afterimage` as a user runs it, on recordings made by the store's own writer.

mod agreement;
mod bad_input;
mod connections;
mod demo;
mod files;
mod fixture;
mod grep;
mod hashes;
mod honest;
mod hostile;
mod incident;
mod json;
mod keep;
mod live;
mod ls;
mod ranges;
mod readme;
mod run;
mod runs;
mod samples;
mod schemas;
mod show;
mod staged;
mod talk;
mod terminal;
mod tmux;
mod tree;
mod walks;

/// A file in this directory that is no module here would never be run.
#[test]
fn every_file_of_this_directory_is_a_module() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let listed = include_str!("main.rs");
    for entry in std::fs::read_dir(here).expect("the tests' directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|n| n.to_str()).expect("UTF-8").to_owned();
        let is_source = path.extension().is_some_and(|e| e == "rs");
        assert!(
            !is_source || name == "main" || listed.contains(&format!("mod {name};")),
            "{name} is forgotten"
        );
    }
}
