//! Exit codes: what a script learns from `afterimage` without reading its output.
//!
//! Precedence: 5 (environment), 3 (damaged), 4 (loss in the asked range), then 0 or 1; 2 is found before anything
//! is read.

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Found, or fine.
    Found = 0,
    /// Nothing matched, or no such container.
    Nothing = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Evidence is damaged or cannot be verified.
    Damaged = 3,
    /// Events were lost inside the asked range.
    Loss = 4,
    /// The environment does not allow it: permission, I/O, other version.
    Environment = 5,
}

impl Exit {
    /// The table of codes, for `--help`.
    pub const HELP: &'static str = "\
Exit codes:
  0  found, or fine
  1  nothing matched, or no such container
  2  usage
  3  damaged or unverifiable evidence
  4  events were lost inside the asked range (also when there are hits)
  5  environment: permission, I/O, a store of another version";

    /// The number that the operating system gets.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// What a finished verb saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Something matched, or there was nothing to match.
    pub matched: bool,
    /// The recording is corrupt or incomplete in what was read. A tail that a crash tore is told, and is not that.
    pub damaged: bool,
    /// Events were lost in the asked range.
    pub loss: bool,
}

impl Verdict {
    /// Fine: found, undamaged, nothing lost.
    pub const FOUND: Self = Self { matched: true, damaged: false, loss: false };

    /// The code for it.
    pub const fn exit(self) -> Exit {
        match self {
            Self { damaged: true, .. } => Exit::Damaged,
            Self { loss: true, .. } => Exit::Loss,
            Self { matched: true, .. } => Exit::Found,
            _ => Exit::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_outranks_loss_and_loss_outranks_hits() {
        let all = Verdict { matched: true, damaged: true, loss: true };
        assert_eq!(all.exit(), Exit::Damaged);
        assert_eq!(Verdict { damaged: false, ..all }.exit(), Exit::Loss);
        assert_eq!(Verdict::FOUND.exit(), Exit::Found);
        assert_eq!(Verdict::default().exit(), Exit::Nothing);
    }
}
