//! Colours by role. No meaning is carried by colour alone: each role also has a glyph, a word or a place.

use ratatui::style::{Color, Modifier, Style};

/// A family of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    Dark,
    Light,
    Contrast,
    Mono,
}

/// How many colours the terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    Ansi16,
    True,
}

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Text,
    /// Secondary text.
    Dim,
    Strong,
    /// Lines between panes.
    Rule,
    Title,
    /// Title of the pane that has the keys.
    TitleFocus,
    /// The bars at the top and the bottom.
    Bar,
    BarStrong,
    /// The selected row of the pane that has the keys.
    Selected,
    /// The selected row of another pane.
    SelectedQuiet,
    /// A key's name in footer, help and palette.
    Key,
    Exec,
    File,
    Write,
    Net,
    Dns,
    Priv,
    Mem,
    Signal,
    Other,
    /// Findings and alerts.
    Alert,
    Warn,
    /// Failed results, invalid input.
    Bad,
    Good,
    Lost,
    /// What matched.
    Match,
    Playhead,
}

impl Theme {
    pub(crate) const ALL: &[Self] = &[Self::Dark, Self::Light, Self::Contrast, Self::Mono];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Contrast => "high contrast",
            Self::Mono => "mono",
        }
    }

    /// The theme of this name, as in `AFTERIMAGE_THEME`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "dark" => Some(Self::Dark),
            "light" => Some(Self::Light),
            "contrast" | "high contrast" => Some(Self::Contrast),
            "mono" => Some(Self::Mono),
            _ => None,
        }
    }

    /// The one after it.
    pub(crate) fn next(self) -> Self {
        let at = Self::ALL.iter().position(|t| *t == self).unwrap_or(0);
        Self::ALL.get((at + 1) % Self::ALL.len()).copied().unwrap_or(self)
    }

    /// The style of everything that has no other.
    pub(crate) fn base(self) -> Style {
        match self {
            Self::Contrast => Style::new().fg(Color::White).bg(Color::Black),
            _ => Style::new(),
        }
    }

    /// The style of a role.
    pub(crate) fn style(self, depth: Depth, role: Role) -> Style {
        let base = self.base();
        match self {
            Self::Mono => mono(role),
            Self::Contrast => base.patch(contrast(role)),
            Self::Dark if depth == Depth::True => base.patch(dark_true(role)),
            Self::Dark => base.patch(dark_16(role)),
            Self::Light if depth == Depth::True => base.patch(light_true(role)),
            Self::Light => base.patch(light_16(role)),
        }
    }
}

const fn rgb(hex: u32) -> Color {
    Color::Rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const REVERSED: Style = Style::new().add_modifier(Modifier::REVERSED);

fn fg(hex: u32) -> Style {
    Style::new().fg(rgb(hex))
}

/// Okabe and Ito's colours, lightened where a dark ground needs it.
fn dark_true(role: Role) -> Style {
    match role {
        Role::Text => Style::new(),
        Role::Strong | Role::Title => BOLD,
        Role::Dim => fg(0xa6acb4),
        Role::Rule => fg(0x4a5058),
        Role::TitleFocus | Role::Key => fg(0x7fc8f8).patch(BOLD),
        Role::Bar => fg(0xc8ccd2).bg(rgb(0x22262c)),
        Role::BarStrong => fg(0xffffff).bg(rgb(0x22262c)).patch(BOLD),
        Role::Selected => Style::new().bg(rgb(0x2c3a4c)).patch(BOLD),
        Role::SelectedQuiet => Style::new().bg(rgb(0x262b32)),
        Role::Exec => fg(0xe69f00),
        Role::File => fg(0x56b4e9),
        Role::Write => fg(0xf0e442),
        Role::Net => fg(0x2fc99a),
        Role::Dns => fg(0x8fe0c4),
        Role::Priv => fg(0xff7f3a).patch(BOLD),
        Role::Mem | Role::Other => fg(0xa6acb4),
        Role::Signal => fg(0xc3a6e8),
        Role::Alert => fg(0xff8a70).patch(BOLD),
        Role::Warn | Role::Match => fg(0xf0c674),
        Role::Bad => fg(0xff8a80),
        Role::Good => fg(0x8cd98c),
        Role::Lost => fg(0xe08cc0).patch(BOLD),
        Role::Playhead => fg(0xffffff).patch(BOLD),
    }
}

fn light_true(role: Role) -> Style {
    match role {
        Role::Text => Style::new(),
        Role::Strong | Role::Title => BOLD,
        Role::Dim => fg(0x5c626a),
        Role::Rule => fg(0xb0b6bd),
        Role::TitleFocus | Role::Key => fg(0x004f8a).patch(BOLD),
        Role::Bar => fg(0x30343a).bg(rgb(0xe8ebef)),
        Role::BarStrong => fg(0x000000).bg(rgb(0xe8ebef)).patch(BOLD),
        Role::Selected => Style::new().bg(rgb(0xd4e4f4)).patch(BOLD),
        Role::SelectedQuiet => Style::new().bg(rgb(0xeceff2)),
        Role::Exec => fg(0x7c4f00),
        Role::File => fg(0x005594),
        Role::Write => fg(0x625800),
        Role::Net => fg(0x006248),
        Role::Dns => fg(0x1c5c5c),
        Role::Priv => fg(0x9c3800).patch(BOLD),
        Role::Mem | Role::Other => fg(0x5c626a),
        Role::Signal => fg(0x663a9a),
        Role::Alert => fg(0xa82010).patch(BOLD),
        Role::Warn | Role::Match => fg(0x7a5000),
        Role::Bad => fg(0xa82010),
        Role::Good => fg(0x1c661c),
        Role::Lost => fg(0x8a2866).patch(BOLD),
        Role::Playhead => fg(0x000000).patch(BOLD),
    }
}

fn dark_16(role: Role) -> Style {
    let of = |color| Style::new().fg(color);
    match role {
        Role::Text | Role::Other => Style::new(),
        Role::Dim | Role::Mem => DIM,
        Role::Strong | Role::Title | Role::Playhead => BOLD,
        Role::Rule => of(Color::DarkGray),
        Role::TitleFocus | Role::Key => of(Color::LightCyan).patch(BOLD),
        Role::Bar | Role::Selected => REVERSED,
        Role::BarStrong => REVERSED.patch(BOLD),
        Role::SelectedQuiet => Style::new().add_modifier(Modifier::UNDERLINED),
        Role::Exec => of(Color::Yellow),
        Role::File => of(Color::Cyan),
        Role::Write | Role::Warn | Role::Match => of(Color::LightYellow),
        Role::Net | Role::Good => of(Color::Green),
        Role::Dns => of(Color::LightGreen),
        Role::Priv | Role::Alert => of(Color::LightRed).patch(BOLD),
        Role::Signal => of(Color::LightMagenta),
        Role::Bad => of(Color::LightRed),
        Role::Lost => of(Color::LightMagenta).patch(BOLD),
    }
}

fn light_16(role: Role) -> Style {
    let of = |color| Style::new().fg(color);
    match role {
        Role::Text | Role::Other | Role::Good => Style::new(),
        Role::Dim | Role::Mem => DIM,
        Role::Strong | Role::Title | Role::Playhead => BOLD,
        Role::Rule => of(Color::Gray),
        Role::TitleFocus | Role::Key => of(Color::Blue).patch(BOLD),
        Role::Bar | Role::Selected => REVERSED,
        Role::BarStrong => REVERSED.patch(BOLD),
        Role::SelectedQuiet => Style::new().add_modifier(Modifier::UNDERLINED),
        Role::Exec => of(Color::Red),
        Role::File | Role::Net | Role::Dns => of(Color::Blue),
        Role::Write | Role::Warn | Role::Match | Role::Signal => of(Color::Magenta),
        Role::Priv | Role::Alert => of(Color::Red).patch(BOLD),
        Role::Bad => of(Color::Red),
        Role::Lost => of(Color::Magenta).patch(BOLD),
    }
}

fn contrast(role: Role) -> Style {
    let white = Style::new().fg(Color::White);
    match role {
        Role::Text | Role::Dim | Role::Rule | Role::Mem | Role::Other => white,
        Role::Selected => Style::new().fg(Color::Black).bg(Color::LightYellow).patch(BOLD),
        Role::SelectedQuiet => white.add_modifier(Modifier::UNDERLINED),
        Role::Bar => Style::new().fg(Color::Black).bg(Color::White),
        Role::BarStrong => Style::new().fg(Color::Black).bg(Color::White).patch(BOLD),
        Role::Exec | Role::Write | Role::Warn | Role::Match => Style::new().fg(Color::LightYellow),
        Role::File | Role::Net | Role::Dns => Style::new().fg(Color::LightCyan),
        Role::Good => Style::new().fg(Color::LightGreen),
        Role::TitleFocus | Role::Key => Style::new().fg(Color::LightYellow).patch(BOLD),
        Role::Priv | Role::Alert | Role::Bad | Role::Lost | Role::Signal => white.patch(BOLD),
        Role::Strong | Role::Title | Role::Playhead => white.patch(BOLD),
    }
}

fn mono(role: Role) -> Style {
    match role {
        Role::Dim | Role::Rule | Role::Mem => DIM,
        Role::Strong | Role::Title | Role::TitleFocus | Role::Key | Role::Playhead => BOLD,
        Role::Alert | Role::Priv | Role::Lost | Role::Warn => BOLD,
        Role::Bar | Role::Selected => REVERSED,
        Role::BarStrong => REVERSED.patch(BOLD),
        Role::SelectedQuiet | Role::Match => Style::new().add_modifier(Modifier::UNDERLINED),
        _ => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Role {
        const ALL: &[Self] = &[
            Self::Text,
            Self::Dim,
            Self::Strong,
            Self::Rule,
            Self::Title,
            Self::TitleFocus,
            Self::Bar,
            Self::BarStrong,
            Self::Selected,
            Self::SelectedQuiet,
            Self::Key,
            Self::Exec,
            Self::File,
            Self::Write,
            Self::Net,
            Self::Dns,
            Self::Priv,
            Self::Mem,
            Self::Signal,
            Self::Other,
            Self::Alert,
            Self::Warn,
            Self::Bad,
            Self::Good,
            Self::Lost,
            Self::Match,
            Self::Playhead,
        ];
    }

    /// xterm's own values of the 16 colours.
    fn of_xterm(color: Color) -> Option<(u8, u8, u8)> {
        Some(match color {
            Color::Rgb(r, g, b) => (r, g, b),
            Color::Black => (0, 0, 0),
            Color::Red => (205, 0, 0),
            Color::Green => (0, 205, 0),
            Color::Yellow => (205, 205, 0),
            Color::Blue => (0, 0, 238),
            Color::Magenta => (205, 0, 205),
            Color::Cyan => (0, 205, 205),
            Color::LightRed => (255, 92, 92),
            Color::LightGreen => (0, 255, 0),
            Color::LightYellow => (255, 255, 0),
            Color::LightMagenta => (255, 0, 255),
            Color::LightCyan => (0, 255, 255),
            Color::White => (255, 255, 255),
            _ => return None,
        })
    }

    fn luminance((r, g, b): (u8, u8, u8)) -> f64 {
        let linear = |v: u8| {
            let v = f64::from(v) / 255.0;
            if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    }

    fn contrast_of(a: (u8, u8, u8), b: (u8, u8, u8)) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn ground(theme: Theme, depth: Depth) -> Vec<(u8, u8, u8)> {
        let selected = theme.style(depth, Role::Selected).bg.and_then(of_xterm);
        let plain = match theme {
            Theme::Light => vec![(255, 255, 255)],
            Theme::Contrast => return vec![(0, 0, 0)],
            _ => vec![(0, 0, 0), (30, 30, 30)],
        };
        plain.into_iter().chain(selected).collect()
    }

    #[test]
    fn text_of_every_role_has_a_contrast_of_4_5() {
        for theme in [Theme::Dark, Theme::Light, Theme::Contrast] {
            for depth in [Depth::Ansi16, Depth::True] {
                for role in Role::ALL.iter().filter(|r| **r != Role::Rule) {
                    let style = theme.style(depth, *role);
                    let Some(fg) = style.fg.and_then(of_xterm) else { continue };
                    let grounds = match style.bg.and_then(of_xterm) {
                        Some(bg) => vec![bg],
                        None => ground(theme, depth),
                    };
                    for bg in grounds {
                        let ratio = contrast_of(fg, bg);
                        assert!(ratio >= 4.5, "{theme:?} {depth:?} {role:?} on {bg:?}: {ratio:.2}");
                    }
                }
            }
        }
    }

    #[test]
    fn mono_uses_no_colour() {
        for role in Role::ALL {
            let style = Theme::Mono.style(Depth::True, *role);
            assert_eq!((style.fg, style.bg), (None, None), "{role:?}");
        }
    }

    #[test]
    fn themes_go_round() {
        let mut theme = Theme::Dark;
        for _ in Theme::ALL {
            assert_eq!(Theme::named(theme.name()), Some(theme));
            theme = theme.next();
        }
        assert_eq!(theme, Theme::Dark);
    }
}
