//! Kernels that lack a member: the programs load all the same, and the missing source is named.

use afterimage_capture::{
    btf::Btf,
    programs::{self, LoadOptions, Programs},
    specs,
};
use afterimage_capture_abi::{config::Config, offsets::Offsets};

use crate::harness::alone;

#[test]
#[ignore = "needs root and eBPF"]
fn programs_load_without_any_one_member() {
    let _alone = alone();
    let btf = Btf::of_kernel().unwrap();
    for (field, structure, member) in Offsets::NAMES {
        let options = LoadOptions {
            config: Config { kernel_paths: 1, v1_subsys: 1, exit_tells_group: 0, ..Config::default() },
            data_ring: 1 << 16,
            control_ring: 1 << 16,
            specs: specs::table(false)[..1].to_vec(),
            own_tgid: 0,
            hidden: vec![field],
        };
        if let Err(error) = Programs::load(&btf, &options) {
            panic!("without `{structure}::{member}`: {error}: {:?}", std::error::Error::source(&error));
        }
        let named = format!("kernel has no `{structure}::{member}`");
        let missing = programs::missing(&btf, &options);
        assert!(missing.contains(&named), "{named}: {missing:?}");
    }
}
