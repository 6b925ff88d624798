//! From drafts to rules: lists flattened, macros put in, conditions and outputs compiled.
//!
//! Every condition is first checked by itself, macros taken for true, so that an error is told once and at its own
//! place; then rules are compiled with everything put in.

use std::collections::HashMap;

use super::{
    LoadError, Rule, RuleError, RuleErrorKind, RuleWarning,
    collect::Collector,
    draft::{Condition, ListDraft, RuleDraft},
    exception,
    output::Output,
    uses::{self, Use},
    yaml::Place,
};
use crate::{
    codes::Codes,
    compile::Compiler,
    expand::Expander,
    syntax::{
        self, FilterError, FilterErrorKind, Mode,
        ast::{Expr, Literal},
    },
    whole,
};

/// Most values of all lists together, lists in lists put in.
const MAX_VALUES: usize = 50_000;
/// A rule that can match this many kinds of calls is slow.
const MANY_TYPES: usize = 100;
/// What Falco appends to every output: the fields that its container plugin suggests.
const SUGGESTED: &str = " container_id=%container.id container_name=%container.name \
    container_image_repository=%container.image.repository container_image_tag=%container.image.tag \
    k8s_pod_name=%k8s.pod.name k8s_ns_name=%k8s.ns.name";
/// Most errors and most warnings that are told: to find the place of each takes a look at the file.
const MAX_TOLD: usize = 1000;
/// Once meant the fields that are appended now.
const CONTAINER_INFO: &str = "%container.info";

type Lists = HashMap<String, Vec<Literal>>;

/// What files came to.
pub(super) struct Compiled {
    pub(super) rules: Vec<Rule>,
    pub(super) warnings: Vec<RuleWarning>,
    pub(super) uses: Vec<Use>,
}

/// Compiles what was collected.
pub(super) fn compile(collector: Collector) -> Result<Compiled, LoadError> {
    let mut state = State { errors: collector.errors, warnings: collector.warnings, ..State::default() };
    state.lists(&collector.lists);
    for draft in &collector.macros {
        let item = format!("macro `{}`", draft.name);
        if let Some(expr) = state.check((&item, None), &draft.condition, &draft.place) {
            state.macros.insert(draft.name.clone(), expr);
        }
    }
    let mut rules = Vec::new();
    for draft in &collector.rules {
        let before = state.errors.len();
        match state.rule(draft) {
            Some(rule) => rules.push(rule),
            None if draft.skip_if_unknown => state.skip(draft, before),
            None => {}
        }
    }
    if state.errors.is_empty() {
        Ok(Compiled { rules, warnings: state.warnings, uses: state.uses })
    } else {
        Err(LoadError { errors: state.errors })
    }
}

#[derive(Default)]
struct State {
    lists: Lists,
    macros: HashMap<String, Expr>,
    errors: Vec<RuleError>,
    warnings: Vec<RuleWarning>,
    uses: Vec<Use>,
}

impl State {
    /// Flattens lists: a value that is a list's name stands for that list's values.
    fn lists(&mut self, drafts: &[ListDraft]) {
        let by_name: HashMap<&str, &ListDraft> =
            drafts.iter().map(|draft| (draft.name.as_str(), draft)).collect();
        let mut left = MAX_VALUES;
        for draft in drafts {
            let mut values = Vec::new();
            match flatten(draft, &by_name, &mut Vec::new(), &mut left, &mut values) {
                Ok(()) => drop(self.lists.insert(draft.name.clone(), values)),
                Err(error) => self.errors.push(error),
            }
        }
    }

    /// Parses a condition and checks it by itself; the rule's name is told where it is a rule's.
    fn check(
        &mut self,
        (item, rule): (&str, Option<&str>),
        condition: &Condition,
        place: &Place,
    ) -> Option<Expr> {
        let text = condition.text();
        let parsed = syntax::parse(&text, Mode::Strict).and_then(|expr| {
            let listed = Expander::rules(None, &self.lists).expand(&expr)?;
            let mut compiler = Compiler::new(Mode::Strict);
            compiler.filter(&listed)?;
            Ok((expr, compiler))
        });
        match parsed {
            Ok((expr, compiler)) => {
                for (span, field) in compiler.needs_recording {
                    self.uses((item, rule), field, || condition.place(span.start, place));
                }
                for warning in compiler.warnings {
                    if self.warnings.len() >= MAX_TOLD {
                        break;
                    }
                    let place = condition.place(warning.span.start, place);
                    self.warnings.push(RuleWarning::new(&place, format!("{item}: {}", warning.message)));
                }
                Some(expr)
            }
            Err(error) => {
                self.refuse(item, condition, place, error);
                None
            }
        }
    }

    /// Remembers where a field is used that only a recording answers.
    fn uses(&mut self, (item, rule): (&str, Option<&str>), field: &'static str, place: impl Fn() -> Place) {
        if self.uses.len() < MAX_TOLD {
            let warning = RuleWarning::new(&place(), uses::message(item, field));
            self.uses.push(Use { rule: rule.map(str::to_owned), field, warning });
        }
    }

    fn refuse(&mut self, item: &str, condition: &Condition, place: &Place, error: FilterError) {
        if self.errors.len() >= MAX_TOLD {
            return;
        }
        let place = condition.place(error.span.start, place);
        self.errors.push(RuleError::new(
            &place,
            RuleErrorKind::Condition { item: item.to_owned(), error: error.into() },
        ));
    }

    fn rule(&mut self, draft: &RuleDraft) -> Option<Rule> {
        let item = format!("rule `{}`", draft.name);
        let own = self.check((&item, Some(&draft.name)), &draft.condition, &draft.place);
        let output = self.output(&item, draft);
        let (own, output) = (own?, output?);
        let mut parts = vec![own];
        for each in &draft.exceptions {
            match exception::condition(each, &item) {
                Ok(Some(condition)) => {
                    self.uses_of_exception((&item, &draft.name), &condition, &each.place);
                    parts.push(Expr::Not(Box::new(condition)));
                }
                Ok(None) => {}
                Err(error) => {
                    self.errors.push(error);
                    return None;
                }
            }
        }
        let whole = if parts.len() > 1 { Expr::And(parts) } else { parts.remove(0) };
        let compiled =
            Expander::rules(Some(&self.macros), &self.lists).expand(&whole).and_then(|condition| {
                let node = Compiler::new(Mode::Strict).filter(&condition)?;
                Ok((condition, node))
            });
        let (condition, node) = match compiled {
            Ok(compiled) => compiled,
            Err(error) => {
                // A macro that was refused has been told already.
                let told =
                    matches!(&error.kind, FilterErrorKind::UnknownMacro { .. }) && !self.errors.is_empty();
                if !told {
                    self.refuse(&item, &draft.condition, &draft.place, error);
                }
                return None;
            }
        };
        let codes = Codes::of(&node);
        let types = crate::prefilter::listed(&codes).map_or(usize::MAX, |codes| codes.len());
        if types > MANY_TYPES && draft.warn_types {
            let message =
                format!("{item} can match events of almost any type, which is slow: ask for `evt.type`");
            self.warnings.push(RuleWarning::new(&draft.place, message));
        }
        Some(Rule {
            name: draft.name.clone(),
            description: draft.desc.clone(),
            priority: draft.priority,
            tags: draft.tags.iter().cloned().collect(),
            enabled: draft.enabled,
            capture: draft.capture,
            condition,
            node,
            codes,
            output,
        })
    }

    /// Its fields have no place of their own: its values were made into a text.
    fn uses_of_exception(&mut self, (item, rule): (&str, &str), condition: &Expr, place: &Place) {
        let mut compiler = Compiler::new(Mode::Strict);
        // Whether it can be compiled is told with the rest of the rule.
        drop(compiler.filter(condition));
        compiler.needs_recording.sort_unstable_by_key(|(_, field)| *field);
        compiler.needs_recording.dedup_by_key(|(_, field)| *field);
        for (_, field) in compiler.needs_recording {
            self.uses((item, Some(rule)), field, || place.clone());
        }
    }

    fn output(&mut self, item: &str, draft: &RuleDraft) -> Option<Output> {
        let pieces: Vec<&str> = draft.output.iter().map(|piece| piece.text.trim()).collect();
        let text = pieces.join(" ");
        let text = text.replace(CONTAINER_INFO, "");
        let shown = text.strip_prefix('*').unwrap_or(&text);
        let place = |offset: usize| place_in_output(draft, offset + text.len() - shown.len());
        match Output::parse(&format!("{}{SUGGESTED}", shown.trim_end())) {
            Ok(output) => {
                output.each_field(&mut |offset, field| {
                    let name = field.def().name;
                    if whole::needs_recording(name) {
                        self.uses((item, Some(&draft.name)), name, || place(offset));
                    } else if !field.def().is_recorded() && self.warnings.len() < MAX_TOLD {
                        let message =
                            format!("output of {item}: `{name}` is not recorded and never has a value");
                        self.warnings.push(RuleWarning::new(&place(offset), message));
                    }
                });
                Some(output)
            }
            Err(error) => {
                let place = place(error.span.start);
                self.errors.push(RuleError::new(
                    &place,
                    RuleErrorKind::Output { item: item.to_owned(), error: error.into() },
                ));
                None
            }
        }
    }

    /// Takes back the errors of a rule that asks to be left out when fields are unknown.
    fn skip(&mut self, draft: &RuleDraft, before: usize) {
        let unknown = |error: &RuleError| match &error.kind {
            RuleErrorKind::Condition { error, .. } | RuleErrorKind::Output { error, .. } => {
                matches!(error.kind, FilterErrorKind::UnknownField { .. } | FilterErrorKind::Value { .. })
            }
            _ => false,
        };
        let own = self.errors.split_off(before.min(self.errors.len()));
        if own.iter().all(unknown) {
            let message = format!("rule `{}` is left out: it asks for what is unknown here", draft.name);
            self.warnings.push(RuleWarning::new(&draft.place, message));
        } else {
            self.errors.extend(own);
        }
    }
}

/// The place of a byte of a rule's output: its pieces without the blanks around them, and a blank between.
fn place_in_output(draft: &RuleDraft, offset: usize) -> Place {
    let mut left = offset;
    for (at, piece) in draft.output.iter().enumerate() {
        let (blanks, length) = (piece.text.len() - piece.text.trim_start().len(), piece.text.trim().len());
        if left <= length || at + 1 == draft.output.len() {
            return piece.place(blanks + left);
        }
        left -= length + 1;
    }
    draft.place.clone()
}

fn flatten(
    draft: &ListDraft,
    by_name: &HashMap<&str, &ListDraft>,
    path: &mut Vec<String>,
    left: &mut usize,
    values: &mut Vec<Literal>,
) -> Result<(), RuleError> {
    let condition = |place: &Place, error: FilterError| {
        RuleError::new(
            place,
            RuleErrorKind::Condition { item: format!("list `{}`", draft.name), error: error.into() },
        )
    };
    path.push(draft.name.clone());
    for (text, place) in &draft.items {
        if let Some(inner) = by_name.get(text.as_str()).filter(|_| !path.contains(text)) {
            flatten(inner, by_name, path, left, values)?;
            continue;
        }
        let Some(rest) = left.checked_sub(1) else {
            let kind = FilterErrorKind::TooLarge { limit: MAX_VALUES };
            return Err(condition(place, FilterError::new(syntax::ast::Span::default(), kind)));
        };
        *left = rest;
        values.push(syntax::parse_list_item(text).map_err(|error| condition(place, error))?);
    }
    path.pop();
    Ok(())
}
