//! Targets of what people write and load: filters and rule files.

use afterimage_detect::{
    Filter, Network, RuleSet, complete,
    syntax::{Mode, parse, print},
};
use afterimage_model::text::{escape, unescape};

/// A filter: parsed in both modes, printed, completed, compiled.
pub fn filter(data: &[u8]) {
    let shown = escape(data);
    assert_eq!(unescape(shown.as_str()).as_deref(), Some(data), "escapes lose nothing");
    let Ok(text) = str::from_utf8(data) else { return };
    for mode in [Mode::Strict, Mode::Lenient] {
        let Ok(expr) = parse(text, mode) else { continue };
        let printed = print(&expr);
        // The filter bar's own spellings (docs/soak.md): known not to come back in every case.
        if mode == Mode::Lenient {
            continue;
        }
        let again = parse(&printed, mode).expect("what is printed is read");
        assert_eq!(print(&again), printed, "printing is stable");
    }
    let cursor = text.char_indices().nth(text.len() / 2).map_or(text.len(), |(at, _)| at);
    let _ = complete(text, cursor);
    let _ = Network::parse(text);
    if let Ok(filter) = Filter::parse(text) {
        let _ = (filter.size(), filter.warnings().len(), filter.is_never());
    }
}

/// A file of Falco rules.
pub fn rules(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    match RuleSet::parse(&[("fuzz.yaml", text)]) {
        Ok(set) => {
            for rule in set.rules() {
                let _ = (rule.condition(), rule.codes());
            }
        }
        Err(error) => drop(error.to_string()),
    }
}
