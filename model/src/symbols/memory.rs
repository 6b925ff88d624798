//! Constants of memory mapping, System V memory and futexes.

use super::{field, flag, hex, push_or, symbol_sets};

symbol_sets! {
    MEMORY_SETS;
    /// Memory protection.
    PROT: 64, "prot" [
        flag(0, "PROT_NONE"), flag(1, "PROT_READ"), flag(2, "PROT_WRITE"), flag(4, "PROT_EXEC"), flag(8, "PROT_SEM"),
        flag(0x0100_0000, "PROT_GROWSDOWN"), flag(0x0200_0000, "PROT_GROWSUP"),
    ];
    /// `mmap` flags but for the page size.
    MAP: 32, "map" [
        field(0xf, 1, "MAP_SHARED"), field(0xf, 2, "MAP_PRIVATE"), field(0xf, 3, "MAP_SHARED_VALIDATE"),
        field(0xf, 8, "MAP_DROPPABLE"), field(0xf, 0, "MAP_FILE"),
        flag(0x10, "MAP_FIXED"), flag(0x20, "MAP_ANONYMOUS"), flag(0x40, "MAP_32BIT"), flag(0x80, "MAP_ABOVE4G"),
        flag(0x100, "MAP_GROWSDOWN"), flag(0x800, "MAP_DENYWRITE"), flag(0x1000, "MAP_EXECUTABLE"),
        flag(0x2000, "MAP_LOCKED"), flag(0x4000, "MAP_NORESERVE"), flag(0x8000, "MAP_POPULATE"),
        flag(0x10000, "MAP_NONBLOCK"), flag(0x20000, "MAP_STACK"), flag(0x40000, "MAP_HUGETLB"),
        flag(0x80000, "MAP_SYNC"), flag(0x0010_0000, "MAP_FIXED_NOREPLACE"), flag(0x0400_0000, "MAP_UNINITIALIZED"),
    ];
    /// `mremap` flags.
    MREMAP: 32, "mremap" [flag(1, "MREMAP_MAYMOVE"), flag(2, "MREMAP_FIXED"), flag(4, "MREMAP_DONTUNMAP"),];
    /// `madvise` advice.
    MADVISE: 32, "madvise" [
        flag(0, "MADV_NORMAL"), flag(1, "MADV_RANDOM"), flag(2, "MADV_SEQUENTIAL"), flag(3, "MADV_WILLNEED"),
        flag(4, "MADV_DONTNEED"), flag(8, "MADV_FREE"), flag(9, "MADV_REMOVE"), flag(10, "MADV_DONTFORK"),
        flag(11, "MADV_DOFORK"), flag(12, "MADV_MERGEABLE"), flag(13, "MADV_UNMERGEABLE"), flag(14, "MADV_HUGEPAGE"),
        flag(15, "MADV_NOHUGEPAGE"), flag(16, "MADV_DONTDUMP"), flag(17, "MADV_DODUMP"),
        flag(18, "MADV_WIPEONFORK"), flag(19, "MADV_KEEPONFORK"), flag(20, "MADV_COLD"), flag(21, "MADV_PAGEOUT"),
        flag(22, "MADV_POPULATE_READ"), flag(23, "MADV_POPULATE_WRITE"), flag(24, "MADV_DONTNEED_LOCKED"),
        flag(25, "MADV_COLLAPSE"), flag(100, "MADV_HWPOISON"), flag(101, "MADV_SOFT_OFFLINE"),
        flag(102, "MADV_GUARD_INSTALL"), flag(103, "MADV_GUARD_REMOVE"),
    ];
    /// Memory policies with their flags.
    MPOL: 32, "mpol" [
        field(0x1fff, 0, "MPOL_DEFAULT"), field(0x1fff, 1, "MPOL_PREFERRED"), field(0x1fff, 2, "MPOL_BIND"),
        field(0x1fff, 3, "MPOL_INTERLEAVE"), field(0x1fff, 4, "MPOL_LOCAL"), field(0x1fff, 5, "MPOL_PREFERRED_MANY"),
        field(0x1fff, 6, "MPOL_WEIGHTED_INTERLEAVE"), flag(0x8000, "MPOL_F_STATIC_NODES"),
        flag(0x4000, "MPOL_F_RELATIVE_NODES"), flag(0x2000, "MPOL_F_NUMA_BALANCING"),
    ];
    /// `msync` flags.
    MSYNC: 32, "msync" [flag(1, "MS_ASYNC"), flag(2, "MS_INVALIDATE"), flag(4, "MS_SYNC"),];
    /// `mlockall` flags.
    MLOCKALL: 32, "mlockall" [flag(1, "MCL_CURRENT"), flag(2, "MCL_FUTURE"), flag(4, "MCL_ONFAULT"),];
    /// `shmat` flags.
    SHMAT: 32, "shmat" [
        flag(0o10000, "SHM_RDONLY"), flag(0o20000, "SHM_RND"), flag(0o40000, "SHM_REMAP"), flag(0o100_000, "SHM_EXEC"),
    ];
    /// Futex operations without their flags.
    FUTEX: 32, "futex" [
        flag(0, "FUTEX_WAIT"), flag(1, "FUTEX_WAKE"), flag(2, "FUTEX_FD"), flag(3, "FUTEX_REQUEUE"),
        flag(4, "FUTEX_CMP_REQUEUE"), flag(5, "FUTEX_WAKE_OP"), flag(6, "FUTEX_LOCK_PI"), flag(7, "FUTEX_UNLOCK_PI"),
        flag(8, "FUTEX_TRYLOCK_PI"), flag(9, "FUTEX_WAIT_BITSET"), flag(10, "FUTEX_WAKE_BITSET"),
        flag(11, "FUTEX_WAIT_REQUEUE_PI"), flag(12, "FUTEX_CMP_REQUEUE_PI"), flag(13, "FUTEX_LOCK_PI2"),
    ];
}

/// `mmap` flags, the size of huge pages included: `MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB|21<<MAP_HUGE_SHIFT`.
pub fn mmap_flags(value: u64) -> String {
    const HUGE_SHIFT: u32 = 26;
    const HUGE_MASK: u64 = 0x3f << HUGE_SHIFT;
    const HUGETLB: u64 = 0x40000;
    let value = value & 0xffff_ffff;
    if value & HUGETLB == 0 || value & HUGE_MASK == 0 {
        return MAP.flags(value);
    }
    format!("{}|{}<<MAP_HUGE_SHIFT", MAP.flags(value & !HUGE_MASK), (value & HUGE_MASK) >> HUGE_SHIFT)
}

/// A futex operation: `FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME`.
pub fn futex_op(value: u64) -> String {
    const PRIVATE: u64 = 128;
    const REALTIME: u64 = 256;
    let value = value & 0xffff_ffff;
    let command = value & !(PRIVATE | REALTIME);
    let mut out = match FUTEX.name_of(command) {
        Some(name) => name.to_owned(),
        None => return hex(value),
    };
    if value & PRIVATE != 0 {
        out.push_str("_PRIVATE");
    }
    if value & REALTIME != 0 {
        push_or(&mut out, "FUTEX_CLOCK_REALTIME");
    }
    out
}
