//! The screens, their numbers and names.

/// A screen: one question about the recording. Switching keeps container, process, moment and filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Screen {
    Containers,
    Replay,
}

impl Screen {
    pub(crate) const ALL: &[Self] = &[Self::Containers, Self::Replay];

    /// The key that goes there.
    pub(crate) const fn digit(self) -> char {
        match self {
            Self::Containers => '1',
            Self::Replay => '2',
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Containers => "Containers",
            Self::Replay => "Replay",
        }
    }

    /// The question that it answers, for the help.
    pub(crate) const fn question(self) -> &'static str {
        match self {
            Self::Containers => "what ran here, what is gone, where to look first",
            Self::Replay => "what happened, step by step, and what was the state",
        }
    }
}

/// A set of screens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Screens(u16);

impl Screens {
    pub(crate) const ALL: Self = Self(u16::MAX);

    pub(crate) const fn of(screens: &[Screen]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < screens.len() {
            bits |= 1 << screens[i] as u16;
            i += 1;
        }
        Self(bits)
    }

    pub(crate) const fn but(screens: &[Screen]) -> Self {
        Self(!Self::of(screens).0)
    }

    pub(crate) const fn has(self, screen: Screen) -> bool {
        self.0 & (1 << screen as u16) != 0
    }

    #[cfg(test)]
    pub(crate) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}
