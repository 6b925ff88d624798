//! The eBPF programs: what is recorded at the system-call boundary, and nothing else.
//!
//! One program per file that has tracepoints, one file per thing that is read. All programs are BTF tracepoints:
//! members of typed pointers are plain loads at offsets the recorder took from the kernel's BTF; everything behind
//! an untyped pointer is a probe read.
#![no_std]
#![no_main]
// One addition of `emit::within` is written in assembly.
#![feature(asm_experimental_arch)]

mod cgroup;
mod emit;
mod file;
mod in_call;
mod lineage;
mod maps;
mod path;
mod process;
mod read;
mod short;
mod slots;
mod sock;
mod socketcall;
mod sys_exit;
mod sys_exit_fields;
mod task;
mod uring;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
