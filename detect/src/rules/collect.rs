//! Collects items of rule files in order: definitions, redefinitions, appends, overrides.

use super::{
    draft::{Capture, Condition, ListDraft, MacroDraft, RuleDraft},
    error::{RuleError, RuleErrorKind, RuleWarning},
    read::{
        Read, capture_scope, conflict, exceptions, flag, form, milliseconds, missing, no_previous, number,
        overrides, read_priority, tags, text,
    },
    yaml::{self, Node, Place, Value},
};

/// The engine version that this one answers for: rule files may ask for it or an older one of the same major.
const ENGINE: [u64; 3] = [0, 63, 0];
/// Plugins whose fields are built in.
const PLUGINS: [&str; 2] = ["container", "k8smeta"];
/// The one source of events.
const SOURCE: &str = "syscall";

/// Everything collected so far.
#[derive(Debug, Default)]
pub(super) struct Collector {
    pub(super) lists: Vec<ListDraft>,
    pub(super) macros: Vec<MacroDraft>,
    pub(super) rules: Vec<RuleDraft>,
    pub(super) errors: Vec<RuleError>,
    pub(super) warnings: Vec<RuleWarning>,
}

const RULE_KEYS: &[&str] = &[
    "rule",
    "condition",
    "output",
    "desc",
    "priority",
    "source",
    "enabled",
    "capture",
    "capture_duration",
    "capture_before",
    "capture_scope",
    "capture_limit",
    "capture_once_per",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "tags",
    "exceptions",
    "override",
    "append",
];

impl Collector {
    /// Reads a file's text. Errors do not stop it: all are collected.
    pub(super) fn file(&mut self, name: &str, text: &str) {
        match yaml::read(name, text) {
            Ok(documents) => documents.iter().for_each(|document| self.document(document)),
            Err(error) => {
                self.errors
                    .push(RuleError::new(&error.place, RuleErrorKind::Yaml { message: error.message }));
            }
        }
    }

    fn document(&mut self, document: &Node) {
        match &document.value {
            Value::Null => {}
            Value::Sequence(items) => {
                for item in items {
                    if let Err(error) = self.item(item) {
                        self.errors.push(error);
                    }
                }
            }
            _ => self.errors.push(form(&document.place, "the file", "a sequence of items")),
        }
    }

    fn item(&mut self, item: &Node) -> Read<()> {
        if matches!(item.value, Value::Null) {
            return Ok(());
        }
        if !matches!(item.value, Value::Mapping(_)) {
            return Err(form(&item.place, "the item", "a mapping"));
        }
        if let Some(version) = item.get("required_engine_version") {
            return engine(version);
        }
        if let Some(plugins) = item.get("required_plugin_versions") {
            self.plugins(plugins);
            return Ok(());
        }
        if item.get("list").is_some() {
            return self.list(item);
        }
        if item.get("macro").is_some() {
            return self.macro_item(item);
        }
        if item.get("rule").is_some() {
            return self.rule(item);
        }
        self.warnings.push(RuleWarning::new(&item.place, "item of unknown type is ignored"));
        Ok(())
    }

    fn plugins(&mut self, plugins: &Node) {
        let Value::Sequence(items) = &plugins.value else { return };
        for plugin in items {
            let name = plugin.get("name").and_then(Node::text).unwrap_or("");
            if !PLUGINS.contains(&name) {
                let message =
                    format!("plugin `{name}` is not part of this engine: rules that use its fields fail");
                self.warnings.push(RuleWarning::new(&plugin.place, message));
            }
        }
    }

    fn list(&mut self, item: &Node) -> Read<()> {
        let name = text(item, "list", "list")?.text.clone();
        let what = format!("list `{name}`");
        self.unknown_keys(item, &["list", "items", "append", "override"]);
        let node = item.get("items").ok_or_else(|| missing(item, &what, "items"))?;
        let mut items = Vec::new();
        match &node.value {
            Value::Null => {}
            Value::Sequence(nodes) => {
                for node in nodes {
                    let text =
                        node.text().ok_or_else(|| form(&node.place, &what, "a list of single values"))?;
                    items.push((text.to_owned(), node.place.clone()));
                }
            }
            _ => return Err(form(&node.place, &what, "a sequence of values")),
        }
        let append = self.appends(item, &what, "items")?;
        let previous = self.lists.iter_mut().find(|list| list.name == name);
        match (append, previous) {
            (true, None) => return Err(no_previous(item, what)),
            (true, Some(list)) => list.items.extend(items),
            (false, Some(list)) => list.items = items,
            (false, None) => self.lists.push(ListDraft { name, items }),
        }
        Ok(())
    }

    fn macro_item(&mut self, item: &Node) -> Read<()> {
        let name = text(item, "macro", "macro")?.text.clone();
        let what = format!("macro `{name}`");
        self.unknown_keys(item, &["macro", "condition", "append", "override"]);
        let condition = Condition::new(text(item, &what, "condition")?.clone());
        let append = self.appends(item, &what, "condition")?;
        let previous = self.macros.iter_mut().find(|own| own.name == name);
        match (append, previous) {
            (true, None) => return Err(no_previous(item, what)),
            (true, Some(own)) => own.condition.append(condition),
            (false, Some(own)) => own.condition = condition,
            (false, None) => self.macros.push(MacroDraft { name, place: item.place.clone(), condition }),
        }
        Ok(())
    }

    /// Whether a list or macro appends: `append: true`, or `override` of its one key.
    fn appends(&mut self, item: &Node, what: &str, key: &str) -> Read<bool> {
        let append = flag(item, what, "append")?.unwrap_or(false);
        let overrides = overrides(item, what)?;
        if append && !overrides.is_empty() {
            return Err(conflict(item, what, "`append` and `override` at the same time".to_owned()));
        }
        for (own, _, place) in &overrides {
            if own != key {
                return Err(RuleError::new(
                    place,
                    RuleErrorKind::Conflict {
                        item: what.to_owned(),
                        problem: format!("`{own}` cannot be overridden"),
                    },
                ));
            }
        }
        Ok(append || overrides.iter().any(|(_, appends, _)| *appends))
    }

    fn rule(&mut self, item: &Node) -> Read<()> {
        let name = text(item, "rule", "rule")?.text.clone();
        let what = format!("rule `{name}`");
        self.unknown_keys(item, RULE_KEYS);
        let append = flag(item, &what, "append")?.unwrap_or(false);
        let overrides = overrides(item, &what)?;
        if append && !overrides.is_empty() {
            return Err(conflict(item, &what, "`append` and `override` at the same time".to_owned()));
        }
        if !overrides.is_empty() {
            return self.override_rule(item, &name, &what, &overrides);
        }
        if append {
            return self.append_rule(item, &name, &what, &["condition", "exceptions"]);
        }
        let only_switch =
            ["condition", "output", "desc", "priority"].iter().all(|key| item.get(key).is_none());
        if only_switch {
            let enabled = flag(item, &what, "enabled")?.ok_or_else(|| missing(item, &what, "condition"))?;
            let rule = self
                .rules
                .iter_mut()
                .find(|rule| rule.name == name)
                .ok_or_else(|| no_previous(item, what))?;
            rule.enabled = enabled;
            return Ok(());
        }
        self.define_rule(item, name, &what)
    }

    fn define_rule(&mut self, item: &Node, name: String, what: &str) -> Read<()> {
        let source = item.get("source").and_then(Node::text).unwrap_or(SOURCE);
        if source != SOURCE {
            let message = format!("{what} is left out: events of source `{source}` are not recorded");
            self.warnings.push(RuleWarning::new(&item.place, message));
            return Ok(());
        }
        let priority = text(item, what, "priority")?;
        let rule = RuleDraft {
            place: item.place.clone(),
            condition: Condition::new(text(item, what, "condition")?.clone()),
            output: vec![text(item, what, "output")?.clone()],
            desc: text(item, what, "desc")?.text.trim_end().to_owned(),
            priority: read_priority(priority)?,
            tags: tags(item, what)?,
            enabled: flag(item, what, "enabled")?.unwrap_or(true),
            exceptions: exceptions(item, what)?,
            capture: capture(item, what)?,
            skip_if_unknown: flag(item, what, "skip-if-unknown-filter")?.unwrap_or(false),
            warn_types: flag(item, what, "warn_evttypes")?.unwrap_or(true),
            name,
        };
        match self.rules.iter_mut().find(|own| own.name == rule.name) {
            Some(own) => *own = rule,
            None => self.rules.push(rule),
        }
        Ok(())
    }

    /// Adds what an item has of these keys to the rule of its name.
    fn append_rule(&mut self, item: &Node, name: &str, what: &str, keys: &[&str]) -> Read<()> {
        let Some(rule) = self.rules.iter_mut().find(|rule| rule.name == name) else {
            return Err(no_previous(item, what.to_owned()));
        };
        let has = |key: &str| keys.contains(&key) && item.get(key).is_some();
        if has("condition") {
            rule.condition.append(Condition::new(text(item, what, "condition")?.clone()));
        }
        if has("output") {
            rule.output.push(text(item, what, "output")?.clone());
        }
        if has("desc") {
            rule.desc = format!("{} {}", rule.desc, text(item, what, "desc")?.text.trim_end());
        }
        if has("tags") {
            rule.tags.extend(tags(item, what)?);
        }
        if has("exceptions") {
            for exception in exceptions(item, what)? {
                match rule.exceptions.iter_mut().find(|own| own.name == exception.name) {
                    None => rule.exceptions.push(exception),
                    Some(_) if exception.fields.is_some() || exception.comps.is_some() => {
                        let problem = format!("only values can be added to exception `{}`", exception.name);
                        return Err(RuleError::new(
                            &exception.place,
                            RuleErrorKind::Conflict { item: what.to_owned(), problem },
                        ));
                    }
                    Some(own) => own.values.extend(exception.values),
                }
            }
        }
        Ok(())
    }

    fn override_rule(
        &mut self,
        item: &Node,
        name: &str,
        what: &str,
        overrides: &[(String, bool, Place)],
    ) -> Read<()> {
        const APPENDABLE: &[&str] = &["condition", "output", "desc", "tags", "exceptions"];
        for (key, appends, place) in overrides {
            let problem = if item.get(key).is_none() {
                format!("`override` of `{key}`, which is not given")
            } else if *appends && !APPENDABLE.contains(&key.as_str()) {
                format!("`{key}` cannot be appended to; use `replace`")
            } else if !RULE_KEYS.contains(&key.as_str())
                || ["rule", "override", "append", "source"].contains(&key.as_str())
            {
                format!("`{key}` cannot be overridden")
            } else {
                continue;
            };
            return Err(RuleError::new(place, RuleErrorKind::Conflict { item: what.to_owned(), problem }));
        }
        let loose = RULE_KEYS.iter().find(|key| {
            !["rule", "override", "source"].contains(key)
                && item.get(key).is_some()
                && !overrides.iter().any(|(own, ..)| own == *key)
        });
        if let Some(key) = loose {
            return Err(conflict(item, what, format!("`{key}` is given without an entry in `override`")));
        }
        let replaced = |key: &str| overrides.iter().any(|(own, appends, _)| own == key && !appends);
        let appended: Vec<&str> =
            overrides.iter().filter(|(_, appends, _)| *appends).map(|(key, ..)| key.as_str()).collect();
        self.append_rule(item, name, what, &appended)?;
        let Some(rule) = self.rules.iter_mut().find(|rule| rule.name == name) else {
            return Err(no_previous(item, what.to_owned()));
        };
        replace(rule, item, what, replaced)
    }

    fn unknown_keys(&mut self, item: &Node, known: &[&str]) {
        let Value::Mapping(pairs) = &item.value else { return };
        for (key, _) in pairs {
            let name = key.text().unwrap_or("");
            if !known.contains(&name) {
                self.warnings.push(RuleWarning::new(&key.place, format!("unknown key `{name}` is ignored")));
            }
        }
    }
}

/// Puts what an item has of the replaced keys in place of the rule's own.
fn replace(rule: &mut RuleDraft, item: &Node, what: &str, replaced: impl Fn(&str) -> bool) -> Read<()> {
    if replaced("condition") {
        rule.condition = Condition::new(text(item, what, "condition")?.clone());
    }
    if replaced("output") {
        rule.output = vec![text(item, what, "output")?.clone()];
    }
    if replaced("desc") {
        rule.desc = text(item, what, "desc")?.text.trim_end().to_owned();
    }
    if replaced("priority") {
        rule.priority = read_priority(text(item, what, "priority")?)?;
    }
    if replaced("tags") {
        rule.tags = tags(item, what)?;
    }
    if replaced("exceptions") {
        rule.exceptions = exceptions(item, what)?;
    }
    if replaced("enabled") {
        rule.enabled = flag(item, what, "enabled")?.unwrap_or(true);
    }
    replace_capture(&mut rule.capture, capture(item, what)?, &replaced);
    if replaced("skip-if-unknown-filter") {
        rule.skip_if_unknown = flag(item, what, "skip-if-unknown-filter")?.unwrap_or(false);
    }
    if replaced("warn_evttypes") {
        rule.warn_types = flag(item, what, "warn_evttypes")?.unwrap_or(true);
    }
    Ok(())
}

/// What an item says of captures.
fn capture(item: &Node, what: &str) -> Read<Capture> {
    Ok(Capture {
        enabled: flag(item, what, "capture")?.unwrap_or(false),
        after_ms: milliseconds(item, what, "capture_duration")?,
        before_ms: milliseconds(item, what, "capture_before")?,
        scope: capture_scope(item, what)?,
        limit: number(item, what, "capture_limit", "a number of bytes")?,
        once_ms: milliseconds(item, what, "capture_once_per")?,
    })
}

fn replace_capture(own: &mut Capture, new: Capture, replaced: &impl Fn(&str) -> bool) {
    let Capture { enabled, after_ms, before_ms, scope, limit, once_ms } = new;
    if replaced("capture") {
        own.enabled = enabled;
    }
    if replaced("capture_duration") {
        own.after_ms = after_ms;
    }
    if replaced("capture_before") {
        own.before_ms = before_ms;
    }
    if replaced("capture_scope") {
        own.scope = scope;
    }
    if replaced("capture_limit") {
        own.limit = limit;
    }
    if replaced("capture_once_per") {
        own.once_ms = once_ms;
    }
}

fn engine(version: &Node) -> Read<()> {
    let wanted = version.text().unwrap_or("");
    let mut parts = wanted.split('.').map(|part| part.parse::<u64>().ok());
    let read = match (parts.next().flatten(), parts.next(), parts.next(), parts.next()) {
        (Some(minor), None, ..) => Some([0, minor, 0]),
        (Some(major), Some(Some(minor)), patch, None) => {
            patch.unwrap_or(Some(0)).map(|patch| [major, minor, patch])
        }
        _ => None,
    };
    let read =
        read.ok_or_else(|| form(&version.place, "required_engine_version", "a version such as `0.57.0`"))?;
    if read[0] != ENGINE[0] || read > ENGINE {
        let own = ENGINE.map(|part| part.to_string()).join(".");
        return Err(RuleError::new(&version.place, RuleErrorKind::Engine { wanted: wanted.to_owned(), own }));
    }
    Ok(())
}
