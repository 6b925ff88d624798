//! Where this kernel has the members that the programs read.

use afterimage_capture_abi::offsets::Offsets;

use crate::btf::Btf;

/// Offsets of this kernel, and the members that are missing (or `hidden`).
pub fn offsets(btf: &Btf, hidden: &[&str]) -> (Offsets, Vec<String>) {
    let mut missing = Vec::new();
    let mut values = [afterimage_capture_abi::offsets::ABSENT; Offsets::NAMES.len()];
    for (value, (field, structure, member)) in values.iter_mut().zip(Offsets::NAMES) {
        // Members that moved or were renamed between kernels.
        let found = btf.offset(structure, member).or_else(|| match *field {
            "task_state" => btf.offset("task_struct", "state"),
            "inode_ctime" => {
                btf.offset("inode", "__i_ctime.tv_sec").or(btf.offset("inode", "i_ctime.tv_sec"))
            }
            "inode_ctime_nsec" => {
                btf.offset("inode", "__i_ctime.tv_nsec").or(btf.offset("inode", "i_ctime.tv_nsec"))
            }
            "inode_mtime" => {
                btf.offset("inode", "__i_mtime.tv_sec").or(btf.offset("inode", "i_mtime.tv_sec"))
            }
            "inode_mtime_nsec" => {
                btf.offset("inode", "__i_mtime.tv_nsec").or(btf.offset("inode", "i_mtime.tv_nsec"))
            }
            _ => None,
        });
        match found {
            Some(offset) if !hidden.contains(field) => *value = offset,
            _ => missing.push(format!("kernel has no `{structure}::{member}`")),
        }
    }
    (Offsets::from_array(values), missing)
}
