//! `alert.*`: the alerts about the event's container, whenever they came. Ours.

use super::family;
use crate::{
    context::{EventContext, Told},
    value::Value,
};

family! {
    /// Alerts.
    Alert as Alert {
        Rule = "alert.rule", Text, Sides, Never:
            "The rules, else the reasons, of the alerts about the container. Filters, `hunt` and the TUI know it; a recorder's \
             rules do not. Ours.";
        Source = "alert.source", Text, Sides, Never: "Who sent them: `falco`, `rules`, `person`, ... Known where `alert.rule` is. Ours.";
        Priority = "alert.priority", Text, Sides, Never: "How bad they are, in the sender's words. Known where `alert.rule` is. Ours.";
    }
}

pub(super) fn get<'c>(field: Alert, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
    let part = |told: &'c Told| match field {
        Alert::Rule => &told.rule,
        Alert::Source => &told.source,
        Alert::Priority => &told.priority,
    };
    let about = cx.frame().told.iter().filter(|told| told.containers.contains(&cx.container()));
    let values: Vec<Value<'_>> =
        about.map(part).filter(|text| !text.is_empty()).map(|text| Value::text(text)).collect();
    (!values.is_empty()).then_some(Value::Many(values))
}
