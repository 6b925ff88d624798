//! How much of the system calls is named and typed: counted here, and said in docs/limits.md.

use std::collections::BTreeMap;

use afterimage_format::{Abi, EventCode};
use afterimage_model::syscalls::{self, ArgKind, ArgSpec};

/// The sentence of docs/limits.md.
fn sentence() -> String {
    let numbers = |abi| (0..0x1_0000).filter_map(move |nr| EventCode::syscall(abi, nr));
    let known: BTreeMap<_, _> = [Abi::X86_64, Abi::I386, Abi::X32]
        .into_iter()
        .flat_map(numbers)
        .filter_map(syscalls::signature)
        .map(|signature| (std::ptr::from_ref(signature), signature))
        .collect();
    let args: Vec<&ArgSpec> = known.values().flat_map(|signature| signature.args).collect();
    let of = |wanted: &dyn Fn(ArgKind) -> bool| args.iter().filter(|arg| wanted(arg.kind)).count();
    let named = of(&|kind| matches!(kind, ArgKind::Flags(_) | ArgKind::Symbol(_)));
    let (addresses, bits) = (of(&|kind| kind == ArgKind::Pointer), of(&|kind| kind == ArgKind::Hex));
    format!(
        "Of {} signatures with {} arguments, every argument has its name; {} have a type, {named} of them flags and \
         symbols by name; {addresses} are addresses and {bits} bits in hexadecimal.",
        known.len(),
        args.len(),
        args.len() - addresses - bits,
    )
}

#[test]
fn the_document_says_how_many_arguments_are_typed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/limits.md");
    let text = std::fs::read_to_string(path).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(&sentence()), "docs/limits.md does not say: {}", sentence());
}
