//! The screens, their numbers and names.

/// A screen: one question about the recording. Switching keeps container, process, moment and filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Screen {
    Containers,
    Replay,
    Timeline,
    Tree,
    Files,
    Net,
    Follow,
    Findings,
    Health,
}

impl Screen {
    pub(crate) const ALL: &[Self] = &[
        Self::Containers,
        Self::Replay,
        Self::Timeline,
        Self::Tree,
        Self::Files,
        Self::Net,
        Self::Follow,
        Self::Findings,
        Self::Health,
    ];

    /// The key that goes there. 9 is kept for the inventory of AI.
    pub(crate) const fn digit(self) -> char {
        match self {
            Self::Containers => '1',
            Self::Replay => '2',
            Self::Timeline => '3',
            Self::Tree => '4',
            Self::Files => '5',
            Self::Net => '6',
            Self::Follow => '7',
            Self::Findings => '8',
            Self::Health => '0',
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Containers => "Containers",
            Self::Replay => "Replay",
            Self::Timeline => "Timeline",
            Self::Tree => "Tree",
            Self::Files => "Files",
            Self::Net => "Net",
            Self::Follow => "Follow",
            Self::Findings => "Findings",
            Self::Health => "Health",
        }
    }

    /// The question that it answers, for the help.
    pub(crate) const fn question(self) -> &'static str {
        match self {
            Self::Containers => "what ran here, what is gone, where to look first",
            Self::Replay => "what happened, step by step, and what was the state",
            Self::Timeline => "when and how long; what overlaps",
            Self::Tree => "who started whom, over the whole life",
            Self::Files => "what was written, dropped, executed, deleted; the bytes",
            Self::Net => "who talked to whom; names, ports, volume",
            Self::Follow => "what was typed and seen: streams, terminals, bytes",
            Self::Findings => "what stands out; bookmarks and notes",
            Self::Health => "is the recording whole and honest",
        }
    }

    /// Whether it is about one container.
    pub(crate) const fn needs_container(self) -> bool {
        !matches!(self, Self::Containers | Self::Health)
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

    pub(crate) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}
