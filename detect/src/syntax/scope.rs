//! `within`, `under`, `near`, `seq`, `time`, `life`: the filter bar's own parts.

use super::{
    ast::{Expr, LifeTest, Near, Op, Scope, Seq, Span, Term, TimeTest},
    cursor::{Cursor, is_blank},
    error::{FilterError, FilterErrorKind},
    instant::{Instant, is_date, parse_duration},
    parse::{atom, or, term},
};

/// The words that begin a scope when its grammar follows; else they are text.
pub(super) const WORDS: [&str; 6] = ["within", "under", "near", "seq", "time", "life"];

/// Whether `within 10s`, the end of a `seq`, stands here.
pub(super) fn at_limit(c: &Cursor<'_>) -> bool {
    c.at_word("within") && c.rest()["within".len()..].trim_start().starts_with(|c: char| c.is_ascii_digit())
}

/// The scope that begins here; `None` when none does.
pub(super) fn scope(c: &mut Cursor<'_>) -> Result<Option<Expr>, FilterError> {
    let start = c.at;
    let word = c.peek_identifier();
    let tail = c.rest()[word.len()..].trim_start();
    let comparison = ["<", ">", "=", "!="].iter().any(|sign| tail.starts_with(sign));
    match word {
        "within" | "under" if c.at_word(word) && !tail.is_empty() => {
            let inclusive = word == "within";
            c.at += word.len();
            processes(c, inclusive, start).map(Some)
        }
        "near" if tail.starts_with('(') => {
            c.at += word.len();
            near(c, start).map(Some)
        }
        "seq" if tail.starts_with('(') => {
            c.at += word.len();
            seq(c, start).map(Some)
        }
        "time"
            if comparison
                || tail.strip_prefix("in").is_some_and(|t| t.bytes().next().is_some_and(is_blank)) =>
        {
            c.at += word.len();
            time(c).map(|test| Some(Expr::Time(test)))
        }
        "life" if comparison => {
            c.at += word.len();
            let op = comparator(c)?;
            let nanos = duration(c)?;
            Ok(Some(Expr::Life(LifeTest { op, nanos })))
        }
        _ => Ok(None),
    }
}

fn processes(c: &mut Cursor<'_>, inclusive: bool, start: usize) -> Result<Expr, FilterError> {
    c.blanks();
    let inner = c.nested(atom)?;
    if matches!(inner, Expr::Text(_)) {
        let scope = if inclusive { "within" } else { "under" };
        let problem = "needs a condition on a process, such as `proc.name = sshd`";
        return Err(FilterError::new(c.span(start), FilterErrorKind::Scope { scope, problem }));
    }
    Ok(Expr::Scope(Scope { inclusive, inner: Box::new(inner), span: c.span(start) }))
}

fn near(c: &mut Cursor<'_>, start: usize) -> Result<Expr, FilterError> {
    c.blanks();
    c.need("(", "`(`")?;
    let inner = Box::new(or(c)?);
    c.blanks();
    c.need(",", "`,` and a length of time such as `5s`")?;
    let distance = duration(c)?;
    let by = by(c)?;
    c.need(")", "`)` or `by`")?;
    Ok(Expr::Near(Near { inner, distance, by, span: c.span(start) }))
}

fn seq(c: &mut Cursor<'_>, start: usize) -> Result<Expr, FilterError> {
    c.blanks();
    c.need("(", "`(`")?;
    let mut steps = vec![or(c)?];
    c.blanks();
    while c.symbol(";") {
        steps.push(or(c)?);
        c.blanks();
    }
    if steps.len() < 2 {
        return Err(c.expected("`;` and a second step"));
    }
    if !c.word("within") {
        return Err(c.expected("`;` or `within` and a length of time"));
    }
    let limit = duration(c)?;
    let by = by(c)?;
    c.need(")", "`)` or `by`")?;
    Ok(Expr::Seq(Seq { steps, limit, by, span: c.span(start) }))
}

/// `by FIELD`, when it stands here.
fn by(c: &mut Cursor<'_>) -> Result<Option<Term>, FilterError> {
    c.blanks();
    if !c.word("by") {
        return Ok(None);
    }
    c.blanks();
    let field = term(c)?.ok_or_else(|| c.expected("a field"))?;
    c.blanks();
    Ok(Some(field))
}

fn time(c: &mut Cursor<'_>) -> Result<TimeTest, FilterError> {
    c.blanks();
    if c.word("in") {
        let low = instant(c)?;
        c.blanks();
        c.need("..", "`..`")?;
        let high = instant(c)?;
        return Ok(TimeTest::In(low, high));
    }
    let op = comparator(c)?;
    Ok(TimeTest::Compare(op, instant(c)?))
}

fn comparator(c: &mut Cursor<'_>) -> Result<Op, FilterError> {
    c.blanks();
    let signs = [
        ("<=", Op::Le),
        ("<", Op::Lt),
        (">=", Op::Ge),
        (">", Op::Gt),
        ("==", Op::Eq),
        ("=", Op::Eq),
        ("!=", Op::Ne),
    ];
    signs
        .into_iter()
        .find(|(sign, _)| c.symbol(sign))
        .map(|(_, op)| op)
        .ok_or_else(|| c.expected("a comparison"))
}

/// The word up to a blank, a parenthesis, a comma or `..`.
fn time_word<'t>(c: &mut Cursor<'t>) -> (&'t str, Span) {
    c.blanks();
    let rest = c.rest();
    let len = rest.bytes().take_while(|b| !is_blank(*b) && !b"(),;\"'".contains(b)).count();
    let word = &rest[..len];
    let word = word.find("..").map_or(word, |dots| &word[..dots]);
    let start = c.at;
    c.at += word.len();
    (word, c.span(start))
}

fn duration(c: &mut Cursor<'_>) -> Result<u64, FilterError> {
    let (word, span) = time_word(c);
    if word.is_empty() {
        return Err(c.expected("a length of time such as `5s`"));
    }
    parse_duration(word).ok_or_else(|| {
        FilterError::new(span, FilterErrorKind::value(word.as_bytes(), "a length of time"))
            .suggest("write a number and a unit, as in `250ms`, `5s`, `1m30s`")
    })
}

fn instant(c: &mut Cursor<'_>) -> Result<Instant, FilterError> {
    let (word, span) = time_word(c);
    if word.is_empty() {
        return Err(c.expected("a moment such as `12:03:11` or `start+5s`"));
    }
    if is_date(word) {
        let (behind, clock) = (c.at, time_word(c).0);
        // `2026-11-22 12:03`: a text of digits behind a date is none of it.
        let whole = clock.contains(':').then(|| Instant::parse(&format!("{word}T{clock}"))).flatten();
        if let Some(instant) = whole {
            return Ok(Instant { span: c.span(span.start), ..instant });
        }
        c.at = behind;
    }
    Instant::parse(word).map(|instant| Instant { span, ..instant }).ok_or_else(|| no_moment(c, word, span))
}

fn no_moment(c: &mut Cursor<'_>, word: &str, span: Span) -> FilterError {
    c.blanks();
    let error = FilterError::new(span, FilterErrorKind::value(word.as_bytes(), "a moment"));
    if parse_duration(word).is_some() {
        return error.suggest(if c.at_word("ago") {
            format!(
                "a filter knows no `ago`: write `end-{word}`, or `--begin '{word} ago'` beside the filter"
            )
        } else {
            format!("write `start+{word}` or `end-{word}`")
        });
    }
    error.suggest(
        "write RFC 3339, a date such as `2026-11-22` with or without a time (UTC), a clock time such as `12:03:11`, `start`, \
         `end`, `alert:1`, `mark:a`, or `+19s` after the start",
    )
}
