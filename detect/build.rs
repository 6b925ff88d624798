//! Looks for the official Falco rules, which are test data that is not part of the repository: at
//! `AFTERIMAGE_FALCO_RULES`, or in `shared/data` of a directory above. Without them the tests that need them are
//! ignored, by name.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo::rustc-check-cfg=cfg(falco_rules)");
    println!("cargo::rerun-if-env-changed=AFTERIMAGE_FALCO_RULES");
    println!("cargo::rerun-if-changed=build.rs");
    let given = env::var_os("AFTERIMAGE_FALCO_RULES").map(PathBuf::from);
    let here = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let above =
        here.ancestors().map(|dir| dir.join("shared/data/falco_rules.yaml")).find(|path| path.is_file());
    if let Some(path) = given.or(above).filter(|path| path.is_file()) {
        println!("cargo::rustc-cfg=falco_rules");
        println!("cargo::rustc-env=FALCO_RULES={}", path.display());
        println!("cargo::rerun-if-changed={}", path.display());
    }
}
