//! Saved filters: names for filters that everybody needs, the same in the commands and on the screens.

use afterimage_detect::{
    Saved,
    syntax::{self, Mode},
};

/// Filters that come with the program, to be used as `$name`.
pub const SHIPPED: &[(&str, &str)] = &[
    ("noise", "evt.type in (futex, mmap, munmap, mprotect, brk, madvise, rt_sigaction, rt_sigprocmask)"),
    (
        "write_exec",
        "evt.type in (chmod, fchmod, fchmodat) or (proc.is_exe_upper_layer = true and evt.type = execve)",
    ),
    (
        "persist",
        "evt.category = file and (fd.name contains /cron or fd.name endswith .bashrc or fd.name endswith .profile \
         or fd.name contains /systemd/system or fd.name endswith authorized_keys)",
    ),
    (
        "creds",
        "fd.name contains serviceaccount/token or fd.name endswith /shadow or fd.name contains .aws/credentials or \
         fd.name contains /.ssh/",
    ),
    ("escape", "evt.type in (mount, setns, unshare, ptrace, init_module, finit_module, bpf, pivot_root)"),
    ("failed", "evt.failed = true"),
];

/// The trees of named filters, as the filter language takes them.
pub fn trees<N: AsRef<str>, T: AsRef<str>>(filters: &[(N, T)]) -> Saved {
    let tree = |(name, text): &(N, T)| {
        Some((name.as_ref().to_owned(), syntax::parse(text.as_ref(), Mode::Lenient).ok()?))
    };
    filters.iter().filter_map(tree).collect()
}

#[cfg(test)]
mod tests {
    use afterimage_detect::Filter;

    use super::*;

    #[test]
    fn every_shipped_filter_is_one() {
        let saved = trees(SHIPPED);
        for (name, text) in SHIPPED {
            let filter = Filter::parse_with(&format!("${name}"), &saved);
            let filter = filter.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(filter.warnings().is_empty(), "{name}: {:?}", filter.warnings());
            assert!(!filter.is_never(), "{name}: {text}");
        }
    }
}
