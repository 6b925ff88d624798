//! What to do with a trigger: the first entry of the configuration that matches it decides.

use std::time::Duration;

use afterimage_detect::{Glob, rules::Priority};

use super::{ActionKind, Scope, Source, Span, Trigger};
use crate::config::{ActionConfig, TriggerConfig};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What.
    pub kind: ActionKind,
    /// How far back.
    pub before: Span,
    /// How far ahead.
    pub after: Span,
    /// What besides the container.
    pub scope: Scope,
    /// Bytes at which the pin ends.
    pub limit: Option<u64>,
    /// Whether to record every call of the container meanwhile.
    pub boost: bool,
}

/// The configured entries, compiled.
#[derive(Debug)]
pub struct Actions {
    entries: Vec<Entry>,
    before: Duration,
    after: Duration,
}

#[derive(Debug)]
struct Entry {
    source: Glob,
    rule: Glob,
    /// Any rule, so that routine is not meant.
    any_rule: bool,
    tag: Option<Glob>,
    priority: Priority,
    kind: ActionKind,
    before: Option<Duration>,
    after: Option<Duration>,
    scope: Scope,
    limit: Option<u64>,
    boost: bool,
}

impl Entry {
    fn new(config: &ActionConfig) -> Self {
        let glob = |pattern: &str| Glob::new(pattern.as_bytes(), true);
        Self {
            source: glob(&config.source),
            rule: glob(&config.rule),
            any_rule: config.rule == "*",
            tag: Some(&config.tag).filter(|tag| *tag != "*").map(|tag| glob(tag)),
            priority: Priority::parse(&config.priority).unwrap_or(Priority::Debug),
            kind: ActionKind::parse(&config.action).unwrap_or(ActionKind::Pin),
            before: config.before,
            after: config.after,
            scope: Scope::parse(&config.scope).unwrap_or_default(),
            limit: config.limit,
            boost: config.boost,
        }
    }

    fn matches(&self, trigger: &Trigger) -> bool {
        self.source.matches(trigger.source.as_str().as_bytes())
            && self.rule.matches(trigger.rule.as_bytes())
            && self.tag.as_ref().is_none_or(|tag| trigger.tags.iter().any(|own| tag.matches(own.as_bytes())))
            && trigger.priority <= self.priority
            && !(trigger.routine && self.any_rule)
    }
}

impl Actions {
    /// Compiles the entries.
    pub fn new(config: &TriggerConfig) -> Self {
        Self {
            entries: config.actions.iter().map(Entry::new).collect(),
            before: config.before,
            after: config.after,
        }
    }

    /// What to do with a trigger. What it asks for itself counts for how much to pin; a person's word counts for
    /// everything.
    pub fn decide(&self, trigger: &Trigger) -> Decision {
        let entry = self.entries.iter().find(|entry| entry.matches(trigger));
        let wish = &trigger.wish;
        let usual = if trigger.routine { ActionKind::Ignore } else { wish.action.unwrap_or(ActionKind::Pin) };
        let kind = match (entry.map(|entry| entry.kind), trigger.source) {
            (_, Source::Person) => wish.action.unwrap_or(ActionKind::Pin),
            (Some(ActionKind::Pin), _) if !trigger.routine => usual,
            (Some(kind), _) => kind,
            (None, _) => usual,
        };
        // What is over needs no more pins, and releases none.
        let kind = if trigger.resolved && kind == ActionKind::Pin { ActionKind::Mark } else { kind };
        let span = |wish: Option<Span>, entry: Option<Duration>, usual| {
            wish.unwrap_or(Span::For(entry.unwrap_or(usual)))
        };
        Decision {
            kind,
            before: span(wish.before, entry.and_then(|entry| entry.before), self.before),
            after: span(wish.after, entry.and_then(|entry| entry.after), self.after),
            scope: wish.scope.or(entry.map(|entry| entry.scope)).unwrap_or_default(),
            limit: wish.limit.or(entry.and_then(|entry| entry.limit)),
            boost: wish.boost.unwrap_or(entry.is_some_and(|entry| entry.boost)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sender, *};

    fn actions(text: &str) -> Actions {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(&file, text).unwrap();
        let sources = crate::config::Sources { file: Some(file), ..Default::default() };
        Actions::new(&crate::config::Config::load(&sources).unwrap().0.triggers)
    }

    fn falco(rule: &str, priority: &str, tags: &str) -> Trigger {
        let body =
            format!(r#"{{"rule":"{rule}","priority":"{priority}","output_fields":{{}},"tags":[{tags}]}}"#);
        sender::parse(body.as_bytes(), None).unwrap().remove(0)
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_first_entry_that_matches_decides() {
        let actions = actions(
            r#"
            [triggers]
            before = "1s"
            [[triggers.actions]]
            rule = "Read*"
            action = "ignore"
            [[triggers.actions]]
            source = "falco"
            tag = "T1?05"
            before = "3s"
            scope = "pod"
            [[triggers.actions]]
            priority = "error"
            after = "9s"
            [[triggers.actions]]
            action = "mark"
            "#,
        );
        let decide = |trigger: &Trigger| actions.decide(trigger);
        assert_eq!(decide(&falco("Read sensitive file", "Critical", "")).kind, ActionKind::Ignore);
        let tagged = decide(&falco("x", "Debug", "\"T1105\""));
        assert_eq!((tagged.before, tagged.scope), (Span::For(3 * SECOND), Scope::Pod));
        let bad = decide(&falco("x", "Error", ""));
        assert_eq!(
            (bad.kind, bad.before, bad.after),
            (ActionKind::Pin, Span::For(SECOND), Span::For(9 * SECOND))
        );
        assert_eq!(decide(&falco("x", "Warning", "")).kind, ActionKind::Mark);
    }

    #[test]
    fn a_sender_may_ask_for_more_but_not_against_the_operator() {
        let actions = actions("[[triggers.actions]]\nrule = \"quiet\"\naction = \"mark\"\n");
        let asked = |rule: &str, source| {
            let body = format!(r#"{{"container":"a","rule":"{rule}","action":"pin","before":"all"}}"#);
            let mut trigger = sender::parse(body.as_bytes(), Some(Source::Generic)).unwrap().remove(0);
            trigger.source = source;
            actions.decide(&trigger)
        };
        assert_eq!(asked("loud", Source::Generic).before, Span::All);
        assert_eq!(asked("quiet", Source::Generic).kind, ActionKind::Mark);
        assert_eq!(asked("quiet", Source::Person).kind, ActionKind::Pin);
    }

    #[test]
    fn routine_pins_only_when_its_rule_is_named() {
        let line = r#"{"process_exec":{"process":{}},"node_name":"n"}"#;
        let routine = sender::parse(line.as_bytes(), None).unwrap().remove(0);
        assert_eq!(actions("").decide(&routine).kind, ActionKind::Ignore);
        assert_eq!(actions("[[triggers.actions]]\n").decide(&routine).kind, ActionKind::Ignore);
        let named = actions("[[triggers.actions]]\nrule = \"process_exec\"\n");
        assert_eq!(named.decide(&routine).kind, ActionKind::Pin);
    }

    #[test]
    fn what_is_over_pins_nothing() {
        let mut over = falco("x", "Error", "");
        over.resolved = true;
        assert_eq!(actions("").decide(&over).kind, ActionKind::Mark);
    }
}
