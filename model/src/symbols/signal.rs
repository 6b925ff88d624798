//! Signal numbers.

static SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// The first real-time signal.
const RT_MIN: u64 = 32;
/// The last real-time signal.
const RT_MAX: u64 = 64;

/// The name of a signal: `SIGKILL`, `SIGRTMIN`, `SIGRT_3`.
pub fn signal(number: u64) -> Option<String> {
    match number {
        1..=31 => usize::try_from(number - 1).ok().and_then(|at| SIGNALS.get(at)).map(|s| (*s).to_owned()),
        RT_MIN => Some("SIGRTMIN".to_owned()),
        33..=RT_MAX => Some(format!("SIGRT_{}", number - RT_MIN)),
        _ => None,
    }
}

/// The name of a signal, or the number as a signed 32-bit one: 0 is no signal, others are invalid.
pub fn signal_or_number(number: u64) -> String {
    signal(number & 0xffff_ffff).unwrap_or_else(|| (number as u32 as i32).to_string())
}

/// The number of a signal's name, with or without `SIG`.
pub fn signal_by_name(name: &str) -> Option<u8> {
    let short = name.strip_prefix("SIG").unwrap_or(name);
    let at = SIGNALS.iter().position(|s| s.get(3..) == Some(short))?;
    u8::try_from(at + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        assert_eq!(signal(9).as_deref(), Some("SIGKILL"));
        assert_eq!(signal(31).as_deref(), Some("SIGSYS"));
        assert_eq!(signal(34).as_deref(), Some("SIGRT_2"));
        assert_eq!(signal(0), None);
        assert_eq!(signal(65), None);
        assert_eq!(signal_or_number(u64::MAX), "-1");
        for number in 1..=31 {
            assert_eq!(signal_by_name(&signal(number).unwrap()).map(u64::from), Some(number));
        }
        assert_eq!(signal_by_name("TERM"), Some(15));
    }
}
