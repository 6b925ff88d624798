//! Puts macros, lists and saved filters in place of their names.
//!
//! Bounded: a handful of macros that each use the one before twice would else fill the memory.

use std::collections::HashMap;

use crate::{
    filter::Saved,
    syntax::{
        FilterError, FilterErrorKind,
        ast::{Check, Expr, Item, Literal, Name, Near, Right, Scope, Seq, Span, Test},
    },
};

/// Most checks and list members of one expanded filter.
const MAX_PARTS: usize = 50_000;
/// How deep an expanded filter may nest, macros in macros put in.
const MAX_DEPTH: usize = 120;

/// What names stand for.
pub(crate) struct Expander<'n> {
    macros: Option<&'n HashMap<String, Expr>>,
    lists: Option<&'n HashMap<String, Vec<Literal>>>,
    saved: Option<&'n Saved>,
    parts: usize,
    depth: usize,
    path: Vec<String>,
    /// Names of macros and lists that were put in.
    pub(crate) used: Vec<String>,
}

impl<'n> Expander<'n> {
    /// Of the filter bar.
    pub(crate) fn saved(saved: &'n Saved) -> Self {
        Self {
            macros: None,
            lists: None,
            saved: Some(saved),
            parts: 0,
            depth: 0,
            path: Vec::new(),
            used: Vec::new(),
        }
    }

    /// Of rule files. Without macros, only lists are put in.
    pub(crate) fn rules(
        macros: Option<&'n HashMap<String, Expr>>,
        lists: &'n HashMap<String, Vec<Literal>>,
    ) -> Self {
        Self {
            macros,
            lists: Some(lists),
            saved: None,
            parts: 0,
            depth: 0,
            path: Vec::new(),
            used: Vec::new(),
        }
    }

    pub(crate) fn expand(&mut self, expr: &Expr) -> Result<Expr, FilterError> {
        if self.depth >= MAX_DEPTH {
            return Err(FilterError::new(Span::default(), FilterErrorKind::TooDeep { limit: MAX_DEPTH }));
        }
        self.depth += 1;
        let expanded = self.node(expr);
        self.depth -= 1;
        expanded
    }

    fn node(&mut self, expr: &Expr) -> Result<Expr, FilterError> {
        Ok(match expr {
            Expr::Or(parts) => Expr::Or(self.all(parts)?),
            Expr::And(parts) => Expr::And(self.all(parts)?),
            Expr::Not(inner) => Expr::Not(Box::new(self.expand(inner)?)),
            Expr::Check(check) => Expr::Check(self.check(check)?),
            Expr::Macro(name) => match self.macros {
                None => expr.clone(),
                Some(macros) => {
                    let unknown = FilterErrorKind::UnknownMacro { name: name.text.clone() };
                    let body = macros.get(&name.text).ok_or_else(|| {
                        FilterError::new(name.span, unknown)
                            .suggest_near(&name.text, macros.keys().map(String::as_str))
                    })?;
                    self.body(name, body)?
                }
            },
            Expr::Saved(name) => {
                let unknown = FilterErrorKind::UnknownSaved { name: name.text.clone() };
                let known = || self.saved.into_iter().flat_map(|saved| saved.keys().map(String::as_str));
                let body = self
                    .saved
                    .and_then(|saved| saved.get(&name.text))
                    .ok_or_else(|| FilterError::new(name.span, unknown).suggest_near(&name.text, known()))?;
                self.body(name, body)?
            }
            Expr::Scope(scope) => Expr::Scope(Scope { inner: self.boxed(&scope.inner)?, ..scope.clone() }),
            Expr::Near(near) => Expr::Near(Near { inner: self.boxed(&near.inner)?, ..near.clone() }),
            Expr::Seq(seq) => Expr::Seq(Seq { steps: self.all(&seq.steps)?, ..seq.clone() }),
            Expr::Text(_) | Expr::Time(_) | Expr::Life(_) => {
                self.count(1, Span::default())?;
                expr.clone()
            }
        })
    }

    fn boxed(&mut self, expr: &Expr) -> Result<Box<Expr>, FilterError> {
        self.expand(expr).map(Box::new)
    }

    fn all(&mut self, parts: &[Expr]) -> Result<Vec<Expr>, FilterError> {
        parts.iter().map(|part| self.expand(part)).collect()
    }

    /// Puts in what a name stands for. What is wrong inside is reported at the name.
    fn body(&mut self, name: &Name, body: &Expr) -> Result<Expr, FilterError> {
        if self.path.contains(&name.text) {
            return Err(FilterError::new(name.span, FilterErrorKind::MacroLoop { name: name.text.clone() }));
        }
        self.used.push(name.text.clone());
        self.path.push(name.text.clone());
        let expanded = self.expand(body).map_err(|error| FilterError { span: name.span, ..error });
        self.path.pop();
        expanded
    }

    fn count(&mut self, parts: usize, span: Span) -> Result<(), FilterError> {
        self.parts += parts;
        if self.parts > MAX_PARTS {
            return Err(FilterError::new(span, FilterErrorKind::TooLarge { limit: MAX_PARTS }));
        }
        Ok(())
    }

    fn check(&mut self, check: &Check) -> Result<Check, FilterError> {
        self.count(1, check.span)?;
        let Test::Compare { op, modifier, right } = &check.test else { return Ok(check.clone()) };
        let right = match right {
            Right::Literal(literal) => Right::Literal(self.one(literal)?),
            Right::List(items) => Right::List(self.items(items, check.span)?),
            Right::Term(term) => Right::Term(term.clone()),
        };
        Ok(Check { test: Test::Compare { op: *op, modifier: *modifier, right }, ..check.clone() })
    }

    /// A single value that may be the name of a list of one.
    fn one(&mut self, literal: &Literal) -> Result<Literal, FilterError> {
        let Some((name, list)) = self.list(literal) else { return Ok(literal.clone()) };
        let (name, list) = (name.to_owned(), list.to_vec());
        self.used.push(name.clone());
        match list.as_slice() {
            [one] => Ok(Literal { span: literal.span, ..one.clone() }),
            list => {
                let kind = FilterErrorKind::ListAsValue { name, count: list.len() };
                Err(FilterError::new(literal.span, kind).suggest("compare with `in`"))
            }
        }
    }

    fn list<'l>(&self, literal: &'l Literal) -> Option<(&'l str, &'n [Literal])> {
        let word = literal.bare_word()?;
        self.lists?.get(word).map(|list| (word, list.as_slice()))
    }

    fn items(&mut self, items: &[Item], span: Span) -> Result<Vec<Item>, FilterError> {
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Item::One(literal) => match self.list(literal) {
                    Some((name, list)) => {
                        self.used.push(name.to_owned());
                        self.count(list.len(), span)?;
                        out.extend(
                            list.iter().map(|own| Item::One(Literal { span: literal.span, ..own.clone() })),
                        );
                    }
                    None => out.push(item.clone()),
                },
                range @ Item::Range(..) => out.push(range.clone()),
            }
        }
        self.count(out.len(), span)?;
        Ok(out)
    }
}
