//! `find.*`: the findings that rest on the event. Ours.

use super::family;
use crate::{context::EventContext, value::Value, whole::Found};

family! {
    /// Findings.
    Find as Find {
        Rule = "find.rule", Text, Sides, Never:
            "What the findings that rest on the event are called, as `afterimage report` and the TUI tell them: `program is not part of \
             the image`, ... The same observation is told once per container, so that only the first event of its kind has \
             it; the host and a container's set-up have none. Filters, `hunt` and the TUI know it; a recorder's rules do not. Ours.";
        Sev = "find.sev", Text, Sides, Never: "How much they weigh: `info`, `notice`, `warning` or `critical`; a text, of which `<` knows no order. Ours.";
        Attack = "find.attack", Text, Sides, Never:
            "The techniques of MITRE ATT&CK that they may be part of, such as `T1105`. Ours.";
    }
}

pub(super) fn get<'c>(field: Find, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
    let part = |found: &Found| match field {
        Find::Rule => found.title,
        Find::Sev => found.severity,
        Find::Attack => found.attack,
    };
    let findings = cx.frame().whole.get(&cx.container())?.findings()?;
    let texts = findings.of(cx.event()).map(part).filter(|text| !text.is_empty());
    let values: Vec<Value<'_>> = texts.map(|text| Value::text(text.as_bytes())).collect();
    (!values.is_empty()).then_some(Value::Many(values))
}
