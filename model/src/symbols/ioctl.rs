//! `ioctl` requests: the common ones by name, the rest by their parts.

use super::{flag, hex, symbol_sets};

symbol_sets! {
    IOCTL_SETS;
    /// Requests that real programs make most.
    IOCTL: 32, "ioctl" [
        flag(0x5401, "TCGETS"), flag(0x5402, "TCSETS"), flag(0x5403, "TCSETSW"), flag(0x5404, "TCSETSF"),
        flag(0x5405, "TCGETA"), flag(0x5406, "TCSETA"), flag(0x5409, "TCSBRK"), flag(0x540a, "TCXONC"),
        flag(0x540b, "TCFLSH"), flag(0x540c, "TIOCEXCL"), flag(0x540d, "TIOCNXCL"), flag(0x540e, "TIOCSCTTY"),
        flag(0x540f, "TIOCGPGRP"), flag(0x5410, "TIOCSPGRP"), flag(0x5411, "TIOCOUTQ"), flag(0x5412, "TIOCSTI"),
        flag(0x5413, "TIOCGWINSZ"), flag(0x5414, "TIOCSWINSZ"), flag(0x5415, "TIOCMGET"), flag(0x5418, "TIOCMSET"),
        flag(0x541b, "FIONREAD"), flag(0x541c, "TIOCLINUX"), flag(0x541d, "TIOCCONS"), flag(0x5420, "TIOCPKT"),
        flag(0x5421, "FIONBIO"), flag(0x5422, "TIOCNOTTY"), flag(0x5423, "TIOCSETD"), flag(0x5424, "TIOCGETD"),
        flag(0x5425, "TCSBRKP"), flag(0x5427, "TIOCSBRK"), flag(0x5428, "TIOCCBRK"), flag(0x5429, "TIOCGSID"),
        flag(0x802c_542a, "TCGETS2"), flag(0x402c_542b, "TCSETS2"), flag(0x402c_542c, "TCSETSW2"),
        flag(0x8004_5430, "TIOCGPTN"), flag(0x4004_5431, "TIOCSPTLCK"), flag(0x8004_5432, "TIOCGDEV"),
        flag(0x4004_5436, "TIOCSIG"), flag(0x5437, "TIOCVHANGUP"), flag(0x8004_5438, "TIOCGPKT"),
        flag(0x8004_5439, "TIOCGPTLCK"), flag(0x8004_5440, "TIOCGEXCL"), flag(0x5441, "TIOCGPTPEER"),
        flag(0x5450, "FIONCLEX"), flag(0x5451, "FIOCLEX"), flag(0x5452, "FIOASYNC"), flag(0x5460, "FIOQSIZE"),
        flag(0x8901, "FIOSETOWN"), flag(0x8903, "FIOGETOWN"), flag(0x8905, "SIOCATMARK"), flag(0x890b, "SIOCADDRT"),
        flag(0x890c, "SIOCDELRT"), flag(0x8910, "SIOCGIFNAME"), flag(0x8912, "SIOCGIFCONF"),
        flag(0x8913, "SIOCGIFFLAGS"), flag(0x8914, "SIOCSIFFLAGS"), flag(0x8915, "SIOCGIFADDR"),
        flag(0x8916, "SIOCSIFADDR"), flag(0x8919, "SIOCGIFBRDADDR"), flag(0x891b, "SIOCGIFNETMASK"),
        flag(0x891c, "SIOCSIFNETMASK"), flag(0x8921, "SIOCGIFMTU"), flag(0x8922, "SIOCSIFMTU"),
        flag(0x8927, "SIOCGIFHWADDR"), flag(0x8933, "SIOCGIFINDEX"), flag(0x8942, "SIOCGIFTXQLEN"),
        flag(0x8946, "SIOCETHTOOL"), flag(0x894c, "SIOCGSKNS"), flag(0x8948, "SIOCGMIIREG"),
        flag(0x400454ca, "TUNSETIFF"), flag(0x800454d2, "TUNGETIFF"),
        flag(0x4004_9409, "FICLONE"), flag(0x4020_940d, "FICLONERANGE"), flag(0xc018_9436, "FIDEDUPERANGE"),
        flag(0x8008_6601, "FS_IOC_GETFLAGS"), flag(0x4008_6602, "FS_IOC_SETFLAGS"), flag(0xc020_660b, "FS_IOC_FIEMAP"),
        flag(0x801c_581f, "FS_IOC_FSGETXATTR"), flag(0x401c_5820, "FS_IOC_FSSETXATTR"),
        flag(0x125e, "BLKROGET"), flag(0x1260, "BLKGETSIZE"), flag(0x125f, "BLKRRPART"),
        flag(0x8008_1272, "BLKGETSIZE64"), flag(0x4c00, "LOOP_SET_FD"), flag(0x4c01, "LOOP_CLR_FD"),
        flag(0x4c04, "LOOP_SET_STATUS64"), flag(0x4c05, "LOOP_GET_STATUS64"), flag(0x4c0a, "LOOP_CONFIGURE"),
        flag(0x4c80, "LOOP_CTL_ADD"), flag(0x4c81, "LOOP_CTL_REMOVE"), flag(0x4c82, "LOOP_CTL_GET_FREE"),
        flag(0xc050_2100, "SECCOMP_IOCTL_NOTIF_RECV"), flag(0xc018_2101, "SECCOMP_IOCTL_NOTIF_SEND"),
        flag(0x4008_2102, "SECCOMP_IOCTL_NOTIF_ID_VALID"), flag(0x4018_2103, "SECCOMP_IOCTL_NOTIF_ADDFD"),
        flag(0x4008_2104, "SECCOMP_IOCTL_NOTIF_SET_FLAGS"),
        flag(0xb701, "NS_GET_USERNS"), flag(0xb702, "NS_GET_PARENT"), flag(0xb703, "NS_GET_NSTYPE"),
        flag(0xb704, "NS_GET_OWNER_UID"), flag(0xff09, "PIDFD_GET_PID_NAMESPACE"),
        flag(0xae00, "KVM_GET_API_VERSION"), flag(0xae01, "KVM_CREATE_VM"), flag(0xae03, "KVM_CHECK_EXTENSION"),
        flag(0xae41, "KVM_CREATE_VCPU"), flag(0xae80, "KVM_RUN"),
        flag(0x2400, "PERF_EVENT_IOC_ENABLE"), flag(0x2401, "PERF_EVENT_IOC_DISABLE"),
        flag(0x4004_2408, "PERF_EVENT_IOC_SET_BPF"), flag(0xc018_aa3f, "UFFDIO_API"), flag(0xc020_aa00, "UFFDIO_REGISTER"),
        flag(0x4004_5201, "RNDADDTOENTCNT"), flag(0x8004_5200, "RNDGETENTCNT"),
    ];
}

/// An `ioctl` request: its name, or `_IOC(_IOC_READ, 0x54, 0x2a, 0x2c)` from its parts.
pub fn ioctl(request: u64) -> String {
    let request = request & 0xffff_ffff;
    if let Some(name) = IOCTL.name_of(request) {
        return name.to_owned();
    }
    let direction = match request >> 30 {
        0 => "_IOC_NONE",
        1 => "_IOC_WRITE",
        2 => "_IOC_READ",
        _ => "_IOC_READ|_IOC_WRITE",
    };
    let (size, kind, number) = (request >> 16 & 0x3fff, request >> 8 & 0xff, request & 0xff);
    format!("_IOC({direction}, {}, {}, {})", hex(kind), hex(number), hex(size))
}
