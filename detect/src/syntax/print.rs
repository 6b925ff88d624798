//! Writes a tree as text that is read as the same tree again.

use std::fmt::Write as _;

use afterimage_model::text::escape;

use super::{
    ast::{Arg, Check, Expr, Item, Literal, Right, Scope, Term, Test, TimeTest},
    cursor::index_prefix,
    instant::print_duration,
};

/// Writes a filter. [`super::parse()`] in the same dialect gives the same tree again.
pub fn print(expr: &Expr) -> String {
    let mut out = String::new();
    put(&mut out, expr);
    out
}

/// Writes a field or function.
pub fn print_term(term: &Term) -> String {
    let mut out = String::new();
    put_term(&mut out, term);
    out
}

fn put(out: &mut String, expr: &Expr) {
    match expr {
        Expr::Or(parts) => joined(out, parts, " or ", |part| matches!(part, Expr::Or(_))),
        Expr::And(parts) => joined(out, parts, " and ", |part| matches!(part, Expr::Or(_) | Expr::And(_))),
        Expr::Not(inner) => {
            out.push_str("not ");
            grouped(out, inner, matches!(**inner, Expr::Or(_) | Expr::And(_)));
        }
        Expr::Check(check) => put_check(out, check),
        Expr::Macro(name) => out.push_str(&name.text),
        Expr::Saved(name) => {
            out.push('$');
            out.push_str(&name.text);
        }
        Expr::Text(literal) => put_literal(out, literal),
        Expr::Scope(Scope { inclusive, inner, .. }) => {
            out.push_str(if *inclusive { "within " } else { "under " });
            grouped(out, inner, !matches!(**inner, Expr::Check(_) | Expr::Saved(_)));
        }
        Expr::Near(near) => {
            out.push_str("near(");
            put(out, &near.inner);
            let _ = write!(out, ", {}", print_duration(near.distance));
            put_by(out, near.by.as_ref());
        }
        Expr::Seq(seq) => {
            out.push_str("seq(");
            joined(out, &seq.steps, "; ", |_| false);
            let _ = write!(out, " within {}", print_duration(seq.limit));
            put_by(out, seq.by.as_ref());
        }
        Expr::Time(TimeTest::In(low, high)) => {
            let _ = write!(out, "time in {low} .. {high}");
        }
        Expr::Time(TimeTest::Compare(op, instant)) => {
            let _ = write!(out, "time {} {instant}", op.as_str());
        }
        Expr::Life(life) => {
            let _ = write!(out, "life {} {}", life.op.as_str(), print_duration(life.nanos));
        }
    }
}

fn joined(out: &mut String, parts: &[Expr], between: &str, needs_group: fn(&Expr) -> bool) {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.push_str(between);
        }
        grouped(out, part, needs_group(part));
    }
}

fn grouped(out: &mut String, expr: &Expr, group: bool) {
    if group {
        out.push('(');
    }
    put(out, expr);
    if group {
        out.push(')');
    }
}

fn put_by(out: &mut String, by: Option<&Term>) {
    if let Some(term) = by {
        out.push_str(" by ");
        put_term(out, term);
    }
    out.push(')');
}

fn put_check(out: &mut String, check: &Check) {
    put_term(out, &check.left);
    match &check.test {
        Test::Exists => out.push_str(" exists"),
        Test::Compare { op, modifier, right } => {
            let _ = write!(out, " {} ", op.as_str());
            if let Some(modifier) = modifier {
                let _ = write!(out, "{} ", modifier.as_str());
            }
            match right {
                Right::Literal(literal) => put_literal(out, literal),
                Right::List(items) => put_list(out, items),
                Right::Term(term) => put_term(out, term),
            }
        }
    }
}

fn put_list(out: &mut String, items: &[Item]) {
    out.push('(');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        match item {
            Item::One(literal) => put_literal(out, literal),
            Item::Range(low, high) => {
                put_literal(out, low);
                out.push_str("..");
                put_literal(out, high);
            }
        }
    }
    out.push(')');
}

fn put_term(out: &mut String, term: &Term) {
    let index = match term {
        Term::Field { name, arg } => {
            out.push_str(&name.text);
            arg
        }
        Term::Call { function, args, index, .. } => {
            out.push_str(function.as_str());
            put_args(out, args);
            index
        }
    };
    if let Some(index) = index {
        out.push('[');
        match index.bare_word() {
            Some(text) if !text.is_empty() && index_prefix(text) == text.len() && index.shows() => {
                out.push_str(text)
            }
            _ => put_quoted(out, &index.bytes),
        }
        out.push(']');
    }
}

fn put_args(out: &mut String, args: &[Arg]) {
    out.push('(');
    for (index, arg) in args.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        match arg {
            Arg::Term(term) => put_term(out, term),
            Arg::Literal(literal) => put_literal(out, literal),
            Arg::List(args) => put_args(out, args),
        }
    }
    out.push(')');
}

fn put_literal(out: &mut String, literal: &Literal) {
    match literal.bare_word() {
        Some(text) if literal.prints_bare() => out.push_str(text),
        _ => put_quoted(out, &literal.bytes),
    }
}

/// Writes the display escapes of the bytes between double quotes.
fn put_quoted(out: &mut String, bytes: &[u8]) {
    out.push('"');
    out.push_str(&escape(bytes).as_str().replace('"', "\\\""));
    out.push('"');
}

impl Literal {
    /// Whether all its characters show as themselves.
    fn shows(&self) -> bool {
        self.bare_word().is_some_and(super::cursor::shows_as_is)
    }
}
