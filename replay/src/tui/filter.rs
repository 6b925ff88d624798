//! The filter as the screens know it: its text, its parts as chips, and whether it is valid.

use afterimage_detect::{
    Filter as Compiled,
    syntax::{
        self, Mode,
        ast::{Check, Expr, Literal, Name, Op, Right, Span, Term, Test},
    },
};
use afterimage_model::text::{Safe, escape};

use crate::{
    events::{SHIPPED, trees},
    tui::text::safe,
};

/// A filter in force: parts that must all hold, some of them switched off.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Filter {
    chips: Vec<Chip>,
}

/// One part of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chip {
    pub(crate) text: String,
    pub(crate) on: bool,
}

/// What is to be said of a filter as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Valid,
    /// It works, but may not mean what its writer thinks.
    Doubtful(Safe),
    /// Where it goes wrong, counted in characters from 0, and why.
    Invalid(usize, Safe),
}

/// Saved filters by name, the shipped ones included.
#[derive(Debug, Clone)]
pub(crate) struct Library {
    texts: Vec<(String, String)>,
}

impl Default for Library {
    fn default() -> Self {
        Self { texts: SHIPPED.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect() }
    }
}

impl Library {
    /// Names and texts.
    pub(crate) fn all(&self) -> &[(String, String)] {
        &self.texts
    }

    /// Adds a filter, or gives a name another one.
    pub(crate) fn add(&mut self, name: &str, text: &str) {
        self.texts.retain(|(old, _)| old != name);
        self.texts.push((name.to_owned(), text.to_owned()));
    }

    /// Compiles a text that may use saved filters.
    ///
    /// # Errors
    /// Why it is not understood.
    pub(crate) fn compile(&self, text: &str) -> Result<Compiled, afterimage_detect::FilterError> {
        Compiled::parse_with(text, &trees(&self.texts))
    }

    /// What is to be said of `text`.
    pub(crate) fn verdict(&self, text: &str) -> Verdict {
        if text.trim().is_empty() {
            return Verdict::Valid;
        }
        match self.compile(text) {
            Ok(filter) => match filter.warnings().first() {
                Some(warning) => Verdict::Doubtful(escape(warning.message.as_bytes())),
                None => Verdict::Valid,
            },
            Err(error) => {
                let column = text.get(..error.span.start).map_or(0, |before| before.chars().count());
                let hint = error.suggestion.as_deref().map_or(String::new(), |hint| format!("; {hint}"));
                Verdict::Invalid(column, escape(format!("{}{hint}", error.kind).as_bytes()))
            }
        }
    }
}

impl Filter {
    /// Takes a text apart into parts that must all hold.
    ///
    /// # Errors
    /// Why it is not understood.
    pub(crate) fn parse(text: &str, library: &Library) -> Result<Self, Verdict> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        if let invalid @ Verdict::Invalid(..) = library.verdict(text) {
            return Err(invalid);
        }
        let parts = match syntax::parse(text, Mode::Lenient) {
            Ok(Expr::And(parts)) => parts.iter().map(part).collect(),
            _ => vec![text.trim().to_owned()],
        };
        Ok(Self { chips: parts.into_iter().map(|text| Chip { text, on: true }).collect() })
    }

    pub(crate) fn chips(&self) -> &[Chip] {
        &self.chips
    }

    /// This and one part more.
    #[must_use]
    pub(crate) fn with(&self, text: String) -> Self {
        let mut chips = self.chips.clone();
        chips.retain(|chip| chip.text != text);
        chips.push(Chip { text, on: true });
        Self { chips }
    }

    /// This, one part switched on or off.
    #[must_use]
    pub(crate) fn toggled(&self, at: usize) -> Self {
        let mut chips = self.chips.clone();
        if let Some(chip) = chips.get_mut(at) {
            chip.on = !chip.on;
        }
        Self { chips }
    }

    /// This without one part.
    #[must_use]
    pub(crate) fn without(&self, at: usize) -> Self {
        let mut chips = self.chips.clone();
        if at < chips.len() {
            chips.remove(at);
        }
        Self { chips }
    }

    /// What is in force, as one text.
    pub(crate) fn text(&self) -> String {
        let on: Vec<&str> = self.chips.iter().filter(|chip| chip.on).map(|chip| chip.text.as_str()).collect();
        on.join(" and ")
    }

    /// Whether it keeps everything.
    pub(crate) fn is_empty(&self) -> bool {
        !self.chips.iter().any(|chip| chip.on)
    }
}

/// A part as text of its own, in parentheses where it must be.
fn part(expr: &Expr) -> String {
    let text = syntax::print(expr);
    if matches!(expr, Expr::Or(_)) { format!("({text})") } else { text }
}

/// `field op value` as a part. It goes through the language's own tree, so that a value is a value, whatever
/// an attacker made it of.
pub(crate) fn comparison(field: &str, op: Op, value: &[u8]) -> String {
    let span = Span::default();
    let left = Term::Field { name: Name { text: field.to_owned(), span }, arg: None };
    let right = Right::Literal(Literal { bytes: value.to_vec(), quoted: false, span });
    syntax::print(&Expr::Check(Check { left, test: Test::Compare { op, modifier: None, right }, span }))
}

/// The opposite of a part.
pub(crate) fn opposite(part: &str) -> String {
    format!("not {part}")
}

/// How a value is written in a filter.
pub(crate) fn literal(field: &str, value: &[u8]) -> String {
    let text = comparison(field, Op::Eq, value);
    text.strip_prefix(&format!("{field} = ")).map(str::to_owned).unwrap_or_default()
}

/// Text that a list's row must have: bare words, all of them.
pub(crate) fn words(text: &str) -> Option<Vec<String>> {
    let expr = syntax::parse(text, Mode::Lenient).ok()?;
    let mut words = Vec::new();
    collect(&expr, &mut words).then_some(words)
}

/// Whether the filter is nothing but bare text side by side.
fn collect(expr: &Expr, words: &mut Vec<String>) -> bool {
    match expr {
        Expr::Text(literal) => {
            words.push(String::from_utf8_lossy(&literal.bytes).to_lowercase());
            true
        }
        Expr::And(parts) => parts.iter().all(|part| collect(part, words)),
        _ => false,
    }
}

/// A sentence for a verdict.
pub(crate) fn sentence(verdict: &Verdict) -> Safe {
    match verdict {
        Verdict::Valid => Safe::literal("valid"),
        Verdict::Doubtful(why) => safe!("valid, but {why}"),
        Verdict::Invalid(column, why) => safe!("invalid at {}: {why}", column + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_filter_is_valid() {
        let library = Library::default();
        for (name, text) in SHIPPED {
            assert!(
                !matches!(library.verdict(text), Verdict::Invalid(..)),
                "{name}: {:?}",
                library.verdict(text)
            );
            assert_eq!(library.verdict(&format!("${name}")), Verdict::Valid);
        }
    }

    #[test]
    fn parts_become_chips_that_can_be_switched() {
        let library = Library::default();
        let filter = Filter::parse("proc.name = sh and (evt.type = open or evt.type = read) and x", &library);
        let filter = filter.expect("valid");
        assert_eq!(filter.chips().len(), 3);
        assert_eq!(filter.text(), "proc.name = sh and (evt.type = open or evt.type = read) and x");
        assert_eq!(filter.toggled(1).text(), "proc.name = sh and x");
        assert_eq!(filter.without(0).without(1).text(), "(evt.type = open or evt.type = read)");
        assert_eq!(Filter::parse(&filter.text(), &library), Ok(filter));
    }

    #[test]
    fn an_error_tells_its_column_and_what_to_write() {
        let library = Library::default();
        let Verdict::Invalid(column, why) = library.verdict("évt and proc.nam = sh") else {
            panic!("valid")
        };
        assert_eq!(column, 8);
        assert!(why.as_str().contains("unknown field `proc.nam`"), "{why}");
    }

    #[test]
    fn hostile_values_are_values_and_nothing_else() {
        let library = Library::default();
        for value in [
            &b"x\" or evt.type = open or \""[..],
            b"a b",
            b")",
            b"\\",
            b"\xff\xe2\x80\xae",
            b"",
            b"it's",
            b"in",
            b"and",
        ] {
            let text = comparison("proc.name", Op::Eq, value);
            let Ok(Expr::Check(check)) = syntax::parse(&text, Mode::Lenient) else { panic!("`{text}`") };
            let Test::Compare { right: Right::Literal(literal), .. } = check.test else { panic!("`{text}`") };
            assert_eq!(literal.bytes, value, "`{text}`");
            assert!(Filter::parse(&text, &library).is_ok());
        }
    }

    #[test]
    fn bare_words_are_told_from_conditions() {
        assert_eq!(words("batch Deleted"), Some(vec!["batch".to_owned(), "deleted".to_owned()]));
        assert_eq!(words("batch and proc.name = sh"), None);
    }
}
