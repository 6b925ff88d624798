//! One function for each fuzz target, over every parser of bytes that somebody else wrote.
//!
//! A target asserts more than that nothing panics: what was read and is written again reads the same. Memory is bounded
//! by libFuzzer's own limits (`cargo xtask soak fuzz` sets them).
#![cfg(fuzzing)]

mod runtime;
mod seeds;
mod trace;
mod words;

pub use libfuzzer_sys;
pub use runtime::{btf, names, runtimes, webhook, wire};
pub use seeds::write as write_seeds;
pub use trace::{
    block, catalog, events, footer, keyframe, proof, records, rows, segment, snapshot, stage, stream,
};
pub use words::{filter, rules};

/// Where seeds are wanted instead of a run.
pub const SEEDS: &str = "AFTERIMAGE_FUZZ_SEEDS";

/// Makes a binary of a target. With `AFTERIMAGE_FUZZ_SEEDS=DIR` it writes its seeds there and ends.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        use $crate::libfuzzer_sys;
        libfuzzer_sys::fuzz_target!(
            init: {
                if let Some(dir) = std::env::var_os($crate::SEEDS) {
                    $crate::write_seeds(stringify!($name), std::path::Path::new(&dir));
                    std::process::exit(0);
                }
            },
            |data: &[u8]| $crate::$name(data)
        );
    };
}
