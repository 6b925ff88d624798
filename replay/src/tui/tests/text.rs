//! Bare text means the same on the command line and in the TUI: what the row shows.

use std::path::Path;

use crate::{
    events::{self, Filters, Options},
    time::Span,
    tui::harness::Harness,
};

#[test]
fn bare_text_finds_the_same_events_here_and_on_the_command_line() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/intrusion.aftx");
    for text in ["wget", "/tmp/.update", "openat", "ENOENT"] {
        let mut harness = Harness::on(&sample, 120, 40);
        harness.press("Enter /");
        harness.type_text(text);
        harness.press("Enter");
        let hits = harness.app.hits().expect("hits").len() as u64;
        assert!(hits > 0, "{text}");
        let mut filters = Filters::parse(&[text]).expect("a filter");
        let options = Options {
            container: None,
            span: Span::default(),
            setup: false,
            raw: false,
            skip: true,
            limit: u64::MAX,
            streams: false,
            facts: false,
            filters: &mut filters,
        };
        let counted = events::count(&harness.trace, options).expect("counted").shown;
        assert_eq!(hits, counted, "{text}");
        let page = harness.app.opened.as_ref().and_then(|opened| opened.page.value()).expect("rows");
        for row in &page.rows {
            let shown = format!("{} {} {} {}", row.process, row.name, row.detail, row.result);
            assert!(shown.contains(text), "{text} is not in {shown}");
        }
    }
}
