//! The counts as an SVG drawing: no script, no style from elsewhere, the same bytes for the same recording.

use std::fmt::Write as _;

use afterimage_format::Class;
use afterimage_model::text::Safe;

use super::{Density, chart::level};

const LEFT: usize = 60;
const BAR: usize = 6;
const LANE: usize = 24;
const HEAD: usize = 24;
/// Steps of a bar's height.
const LEVELS: usize = 20;
/// Okabe and Ito's colours, told apart by colour-blind people; one for each of [`Class::ALL`].
const COLORS: [&str; Class::COUNT] =
    ["#d55e00", "#56b4e9", "#0072b2", "#009e73", "#009e73", "#cc79a7", "#999999", "#e69f00", "#bbbbbb"];

/// The drawing, with `title` above it.
pub fn svg(density: &Density, title: &Safe) -> String {
    let classes: Vec<Class> = Class::ALL
        .into_iter()
        .filter(|c| density.columns.iter().any(|column| column.counts[*c as usize] > 0))
        .collect();
    let width = LEFT + density.columns.len() * BAR;
    let height = HEAD + (classes.len() + 1) * LANE;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"monospace\" font-size=\"12\">"
    );
    let _ = writeln!(out, "<title>{0}</title>\n<text x=\"2\" y=\"14\">{0}</text>", xml(title.as_str()));
    let top = density.columns.iter().flat_map(|c| c.counts).max().unwrap_or(0);
    for (lane, class) in classes.iter().enumerate() {
        let base = HEAD + (lane + 1) * LANE;
        let _ = writeln!(out, "<text x=\"2\" y=\"{}\">{}</text>", base - 6, class.as_str());
        for (i, column) in density.columns.iter().enumerate() {
            let count = column.counts[*class as usize];
            if count > 0 {
                let bar = (level(count, top, LEVELS) + 1).min(LANE - 2);
                let color = COLORS[*class as usize];
                rect(&mut out, i, base - bar, bar, color, &format!("{count} {}", class.as_str()));
            }
        }
    }
    let base = HEAD + (classes.len() + 1) * LANE;
    let _ = writeln!(out, "<text x=\"2\" y=\"{}\">lost</text>", base - 6);
    for (i, column) in density.columns.iter().enumerate().filter(|(_, c)| c.gaps > 0 || c.blind) {
        let (color, words) =
            if column.blind { ("#eeeeee", "not recorded") } else { ("#882255", "events lost") };
        rect(&mut out, i, base - LANE / 2, LANE / 2, color, words);
    }
    // Under the losses, which may be at the same time.
    for (i, _) in density.columns.iter().enumerate().filter(|(_, c)| c.corrupt) {
        rect(&mut out, i, base - 4, 4, "#000000", "corrupt: recorded, and cannot be read");
    }
    out.push_str("</svg>\n");
    out
}

fn rect(out: &mut String, column: usize, y: usize, height: usize, color: &str, title: &str) {
    let (x, width) = (LEFT + column * BAR, BAR - 1);
    let _ = writeln!(
        out,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{color}\"><title>{title}</title></rect>"
    );
}

/// Text in XML.
fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use afterimage_format::BootNanos;
    use afterimage_model::text::escape;

    use super::*;
    use crate::density::Column;

    #[test]
    fn hostile_title_makes_no_element() {
        let mut counts = [0; Class::COUNT];
        counts[0] = 3;
        let (from, to) = (BootNanos(0), BootNanos(1));
        let column = Column { from, to, counts, gaps: 1, blind: false, corrupt: true, approximate: false };
        let density = Density { begin: BootNanos(0), end: BootNanos(1), columns: vec![column] };
        let drawing = svg(&density, &escape(b"<script>alert(1)</script>\x1b"));
        assert!(drawing.contains("&lt;script&gt;alert(1)&lt;/script&gt;\\x1b"), "{drawing}");
        assert!(!drawing.contains("<script"), "{drawing}");
        assert!(drawing.contains("<title>3 exec</title>") && drawing.contains("<title>events lost</title>"));
        assert!(drawing.contains("<title>corrupt: recorded, and cannot be read</title>"));
    }
}
