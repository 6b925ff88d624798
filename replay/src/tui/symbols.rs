//! The glyphs of the interface, in Unicode and in ASCII. Every one is one column wide in both.

/// One set of glyphs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Symbols {
    /// Zero to full in nine steps; the first is "nothing happened".
    pub(crate) bars: [&'static str; 9],
    pub(crate) lost: &'static str,
    /// What cannot be known: the block cannot be read.
    pub(crate) corrupt: &'static str,
    pub(crate) playhead: &'static str,
    pub(crate) finding: &'static str,
    pub(crate) rule: &'static str,
    pub(crate) rule_focus: &'static str,
    pub(crate) side: &'static str,
    pub(crate) ellipsis: &'static str,
    pub(crate) open: &'static str,
    pub(crate) closed: &'static str,
    pub(crate) leaf: &'static str,
    pub(crate) cursor: &'static str,
    pub(crate) play: &'static str,
    pub(crate) play_back: &'static str,
    pub(crate) pause: &'static str,
    pub(crate) arrow: &'static str,
    pub(crate) dot: &'static str,
    pub(crate) tree_last: &'static str,
    pub(crate) tree_mid: &'static str,
    pub(crate) tree_bar: &'static str,
    pub(crate) scroll: &'static str,
    pub(crate) corners: Corners,
}

/// Corners and joints of lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Corners {
    pub(crate) down: &'static str,
    pub(crate) up: &'static str,
    pub(crate) cross: &'static str,
    pub(crate) left: &'static str,
    pub(crate) right: &'static str,
    pub(crate) top_left: &'static str,
    pub(crate) top_right: &'static str,
    pub(crate) bottom_left: &'static str,
    pub(crate) bottom_right: &'static str,
}

pub(crate) static UNICODE: Symbols = Symbols {
    bars: ["·", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    lost: "×",
    corrupt: "░",
    playhead: "▲",
    finding: "▼",
    rule: "─",
    rule_focus: "━",
    side: "│",
    ellipsis: "…",
    open: "▾",
    closed: "▸",
    leaf: "·",
    cursor: "›",
    play: "▶",
    play_back: "◀",
    pause: "‖",
    arrow: "→",
    dot: "·",
    tree_last: "└",
    tree_mid: "├",
    tree_bar: "│",
    scroll: "▐",
    corners: Corners {
        down: "┬",
        up: "┴",
        cross: "┼",
        left: "├",
        right: "┤",
        top_left: "╭",
        top_right: "╮",
        bottom_left: "╰",
        bottom_right: "╯",
    },
};

pub(crate) static ASCII: Symbols = Symbols {
    bars: [".", "_", ":", "-", "=", "+", "*", "#", "@"],
    lost: "x",
    corrupt: "%",
    playhead: "^",
    finding: "v",
    rule: "-",
    rule_focus: "=",
    side: "|",
    ellipsis: "~",
    open: "v",
    closed: ">",
    leaf: "-",
    cursor: ">",
    play: ">",
    play_back: "<",
    pause: "||",
    arrow: ">",
    dot: "-",
    tree_last: "`",
    tree_mid: "|",
    tree_bar: "|",
    scroll: "#",
    corners: Corners {
        down: "+",
        up: "+",
        cross: "+",
        left: "+",
        right: "+",
        top_left: "+",
        top_right: "+",
        bottom_left: "+",
        bottom_right: "+",
    },
};

#[cfg(test)]
mod tests {
    use afterimage_model::text::Safe;
    use unicode_width::UnicodeWidthStr;

    use super::*;

    fn every(set: &'static Symbols) -> Vec<&'static str> {
        let c = &set.corners;
        let mut all = set.bars.to_vec();
        all.extend([set.lost, set.playhead, set.finding, set.rule, set.rule_focus, set.side, set.ellipsis]);
        all.extend([set.open, set.closed, set.leaf, set.cursor, set.play, set.play_back]);
        all.extend([set.corrupt, set.arrow, set.dot, set.tree_last, set.tree_mid, set.tree_bar, set.scroll]);
        all.extend([
            c.down,
            c.up,
            c.cross,
            c.left,
            c.right,
            c.top_left,
            c.top_right,
            c.bottom_left,
            c.bottom_right,
        ]);
        all
    }

    #[test]
    fn every_glyph_is_one_column_and_plain() {
        for glyph in every(&UNICODE).into_iter().chain(every(&ASCII)) {
            assert_eq!(glyph.width(), 1, "{glyph:?}");
            assert_eq!(Safe::format(format_args!("{glyph}")).as_str(), glyph);
        }
        // Nothing stands below this one: it may take two.
        assert!(ASCII.pause.is_ascii() && UNICODE.pause.width() == 1);
        assert!(every(&ASCII).iter().all(|g| g.is_ascii()));
    }
}
