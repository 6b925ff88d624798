//! Recursive descent over `or`, `and`, `not`, checks and terms.

use super::{
    MAX_BAR, MAX_CONDITION, Mode,
    ast::{Arg, Check, Expr, Function, Item, Literal, Modifier, Name, Op, Right, Span, Term, Test},
    cursor::{Cursor, bare_prefix, is_blank},
    error::{FilterError, FilterErrorKind, nearest},
    literal, scope,
};

/// Operators of signs, each before its own beginnings.
const SIGNS: [(&str, Op); 8] = [
    ("<=", Op::Le),
    ("<", Op::Lt),
    (">=", Op::Ge),
    (">", Op::Gt),
    ("==", Op::Eq),
    ("=", Op::Eq),
    ("!=", Op::Ne),
    ("~", Op::Search),
];

/// Reads a filter.
///
/// # Errors
/// [`FilterError`] at the first thing that is not part of the dialect.
pub fn parse(text: &str, mode: Mode) -> Result<Expr, FilterError> {
    let limit = if mode == Mode::Strict { MAX_CONDITION } else { MAX_BAR };
    if text.len() > limit {
        let kind = FilterErrorKind::TooLong { length: text.len(), limit };
        return Err(FilterError::new(Span { start: limit, end: text.len() }, kind));
    }
    let mut cursor = Cursor::new(text, mode);
    cursor.blanks();
    if cursor.peek().is_none() {
        return Err(FilterError::new(Span::default(), FilterErrorKind::Empty));
    }
    let expr = or(&mut cursor)?;
    cursor.blanks();
    if cursor.peek().is_some() {
        return Err(cursor.expected("`and`, `or` or the end"));
    }
    Ok(expr)
}

/// Reads a field or function at the beginning of `text`: how long it is, and the term. Output formats are made of
/// these.
///
/// # Errors
/// [`FilterError`] when none stands there.
pub fn parse_term_prefix(text: &str) -> Result<(usize, Term), FilterError> {
    let mut cursor = Cursor::new(text, Mode::Strict);
    let term = term(&mut cursor)?.ok_or_else(|| cursor.expected("a field"))?;
    Ok((cursor.at, term))
}

pub(super) fn or(c: &mut Cursor<'_>) -> Result<Expr, FilterError> {
    c.nested(|c| {
        let mut parts = vec![and(c)?];
        loop {
            c.blanks();
            if !(c.word("or") || c.lenient() && c.symbol("||")) {
                break;
            }
            parts.push(and(c)?);
        }
        Ok(single(parts, Expr::Or))
    })
}

fn and(c: &mut Cursor<'_>) -> Result<Expr, FilterError> {
    let mut parts = vec![not(c)?];
    loop {
        c.blanks();
        if c.word("and") || c.lenient() && c.symbol("&&") || c.lenient() && continues(c) {
            parts.push(not(c)?);
        } else {
            break;
        }
    }
    Ok(single(parts, Expr::And))
}

/// Whether another condition follows without a word between.
fn continues(c: &Cursor<'_>) -> bool {
    let stops = c.peek().is_none_or(|b| b"),;".contains(&b)) || c.rest().starts_with("||");
    !stops && !c.at_word("or") && !scope::at_limit(c)
}

fn single(mut parts: Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Expr {
    if parts.len() > 1 { join(parts) } else { parts.remove(0) }
}

fn not(c: &mut Cursor<'_>) -> Result<Expr, FilterError> {
    c.blanks();
    let negated = c.word("not") || c.lenient() && !c.rest().starts_with("!=") && c.symbol("!");
    if negated {
        return Ok(Expr::Not(Box::new(c.nested(not)?)));
    }
    atom(c)
}

pub(super) fn atom(c: &mut Cursor<'_>) -> Result<Expr, FilterError> {
    c.blanks();
    if c.symbol("(") {
        let inner = or(c)?;
        c.blanks();
        c.need(")", "`)`")?;
        return Ok(inner);
    }
    let start = c.at;
    if c.lenient() && c.symbol("$") {
        let name = name(c)?;
        return Ok(Expr::Saved(name));
    }
    if c.lenient()
        && let Some(expr) = scope::scope(c)?
    {
        return Ok(expr);
    }
    if !c.lenient() || field_follows(c) {
        if let Some(left) = term(c)? {
            let check = check(c, left, start)?;
            return Ok(check);
        }
        return macro_name(c);
    }
    literal::text(c)
}

fn macro_name(c: &mut Cursor<'_>) -> Result<Expr, FilterError> {
    let identifier = c.peek_identifier();
    if identifier.is_empty() || ["and", "or"].contains(&identifier) {
        return Err(c.expected("a field, a macro or `(`"));
    }
    if scope::WORDS.contains(&identifier) && c.text[c.at + identifier.len()..].trim_start().starts_with('(') {
        let what = "a scope";
        return Err(FilterError::new(c.span(c.at), FilterErrorKind::NotInRules { what }));
    }
    Ok(Expr::Macro(name(c)?))
}

fn name(c: &mut Cursor<'_>) -> Result<Name, FilterError> {
    let start = c.at;
    let text = c.peek_identifier();
    if text.is_empty() {
        return Err(c.expected("a name"));
    }
    c.at += text.len();
    Ok(Name { text: text.to_owned(), span: c.span(start) })
}

/// In the filter bar: whether a check begins here, rather than bare text.
fn field_follows(c: &Cursor<'_>) -> bool {
    if function_here(c).is_some() {
        return true;
    }
    let dotted = c.peek_field();
    let name = if dotted.is_empty() { c.peek_identifier() } else { dotted };
    if name.is_empty() {
        return false;
    }
    let tail = &c.rest()[name.len()..];
    let signs = |text: &str| SIGNS.iter().any(|(sign, _)| text.starts_with(sign));
    if dotted.is_empty() {
        // A word and a sign: a field misspelt without its family, never text. A word of the language is no field.
        return !["and", "or", "not", "within", "under"].contains(&name) && signs(tail.trim_start());
    }
    let blank = tail.len() > tail.trim_start().len();
    let after = tail.trim_start();
    let word = Op::ALL.iter().any(|op| blank && starts_word(after, op.as_str()))
        || blank
            && (starts_word(after, "exists")
                || starts_word(after, "not") && starts_word(after[3..].trim_start(), "in"));
    let bare = bare_prefix(tail, Mode::Lenient) > 0;
    tail.starts_with('[') || signs(after) || word || !bare && crate::fields::in_family(dotted)
}

fn starts_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word).is_some_and(|tail| !tail.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// The function whose call begins here, and the length up to behind its parenthesis.
fn function_here(c: &Cursor<'_>) -> Option<(Function, usize)> {
    let word = c.peek_identifier();
    let function = Function::ALL.iter().find(|f| f.as_str() == word)?;
    c.rest()[word.len()..].starts_with('(').then_some((*function, word.len() + 1))
}

/// A field or a function call; `None` when neither begins here.
pub(super) fn term(c: &mut Cursor<'_>) -> Result<Option<Term>, FilterError> {
    let start = c.at;
    if let Some((function, len)) = function_here(c) {
        c.at += len;
        return c.nested(|c| call(c, function, start)).map(Some);
    }
    let mut name = c.peek_field();
    if name.is_empty() && c.lenient() {
        name = c.peek_identifier();
    }
    if name.is_empty() {
        return Ok(None);
    }
    c.at += name.len();
    let name = Name { text: name.to_owned(), span: c.span(start) };
    Ok(Some(Term::Field { name, arg: c.index()? }))
}

fn call(c: &mut Cursor<'_>, function: Function, start: usize) -> Result<Term, FilterError> {
    let args = arguments(c)?;
    let index = c.index()?;
    Ok(Term::Call { function, args, index, span: c.span(start) })
}

/// Arguments up to and with the closing parenthesis.
fn arguments(c: &mut Cursor<'_>) -> Result<Vec<Arg>, FilterError> {
    let mut args = Vec::new();
    c.blanks();
    if c.symbol(")") {
        return Ok(args);
    }
    loop {
        args.push(c.nested(argument)?);
        c.blanks();
        if c.symbol(")") {
            return Ok(args);
        }
        c.need(",", "`,` or `)`")?;
    }
}

fn argument(c: &mut Cursor<'_>) -> Result<Arg, FilterError> {
    c.blanks();
    if c.symbol("(") {
        return arguments(c).map(Arg::List);
    }
    if let Some(quoted) = c.quoted()? {
        return Ok(Arg::Literal(quoted));
    }
    if let Some(number) = literal::number(c) {
        return Ok(Arg::Literal(number));
    }
    term(c)?.map(Arg::Term).ok_or_else(|| c.expected("a field, a function, a number or a quoted string"))
}

fn check(c: &mut Cursor<'_>, left: Term, start: usize) -> Result<Expr, FilterError> {
    c.blanks();
    if c.symbol("exists") {
        return Ok(Expr::Check(Check { left, test: Test::Exists, span: c.span(start) }));
    }
    let negated = c.lenient() && c.at_word("not") && {
        let before = c.at;
        c.word("not");
        c.blanks();
        let follows = c.rest().starts_with("in");
        if !follows {
            c.at = before;
        }
        follows
    };
    let op = operator(c).ok_or_else(|| no_operator(c, &left))?;
    if op == Op::Search && !c.lenient() {
        return Err(FilterError::new(c.span(c.at - 1), FilterErrorKind::NotInRules { what: "`~`" })
            .suggest("rule files have `regex`"));
    }
    let (modifier, right) = right_side(c, op)?;
    let test = Test::Compare { op, modifier, right };
    let check = Expr::Check(Check { left, test, span: c.span(start) });
    Ok(if negated { Expr::Not(Box::new(check)) } else { check })
}

fn no_operator(c: &Cursor<'_>, left: &Term) -> FilterError {
    let word = c.peek_identifier();
    let error = c.expected("an operator");
    if Modifier::ALL.iter().any(|modifier| modifier.as_str() == word) {
        return error.suggest(format!("`{word}` follows one: `proc.name startswith {word} (nginx, apache)`"));
    }
    let near = nearest(word, Op::ALL.iter().map(|op| op.as_str()));
    match (near, left) {
        (Some(near), _) => error.suggest(format!("did you mean `{near}`?")),
        (None, Term::Field { name, .. }) if c.lenient() => {
            error.suggest(format!("`{} exists` asks whether it has a value", name.text))
        }
        _ => error,
    }
}

/// Takes the operator that stands here. Words that compare with one value need a blank behind them, as Falco's do.
fn operator(c: &mut Cursor<'_>) -> Option<Op> {
    for (sign, op) in SIGNS {
        if c.symbol(sign) {
            return Some(op);
        }
    }
    let word = c.peek_identifier();
    let op = *Op::ALL.iter().find(|op| op.as_str() == word)?;
    let after = c.rest()[word.len()..].bytes().next();
    if !op.takes_list() && !after.is_some_and(is_blank) {
        return None;
    }
    c.at += word.len();
    Some(op)
}

fn right_side(c: &mut Cursor<'_>, op: Op) -> Result<(Option<Modifier>, Right), FilterError> {
    let blank_before = c.blanks() || op.as_str().starts_with(|c: char| c.is_ascii_alphabetic());
    if op.takes_list() {
        return list_or_term(c).map(|right| (None, right));
    }
    if !op.takes_number()
        && blank_before
        && let Some(modifier) = modifier(c)
    {
        return Ok((Some(modifier), Right::List(list(c)?)));
    }
    if function_here(c).is_some() {
        return Ok((None, Right::Term(Box::new(need_term(c)?))));
    }
    if op.takes_number() && !c.lenient() {
        let number = literal::number(c).ok_or_else(|| c.expected("a number"))?;
        return Ok((None, Right::Literal(number)));
    }
    literal::value(c).map(|value| (None, Right::Literal(value)))
}

/// Takes `oneof`, `anyof` or `allof` when a list follows it.
fn modifier(c: &mut Cursor<'_>) -> Option<Modifier> {
    let word = c.peek_identifier();
    let modifier = *Modifier::ALL.iter().find(|m| m.as_str() == word)?;
    let before = c.at;
    c.at += word.len();
    let blank = c.blanks();
    let next = c.peek_identifier();
    if blank && (c.peek() == Some(b'(') || !next.is_empty() && !["and", "or", "not"].contains(&next)) {
        return Some(modifier);
    }
    c.at = before;
    None
}

fn need_term(c: &mut Cursor<'_>) -> Result<Term, FilterError> {
    term(c)?.ok_or_else(|| c.expected("a field or a function"))
}

fn list_or_term(c: &mut Cursor<'_>) -> Result<Right, FilterError> {
    if function_here(c).is_some() {
        return Ok(Right::Term(Box::new(need_term(c)?)));
    }
    list(c).map(Right::List)
}

/// A list in parentheses, or the name of one; in the filter bar also a single value or range.
fn list(c: &mut Cursor<'_>) -> Result<Vec<Item>, FilterError> {
    if !c.symbol("(") {
        return if c.lenient() || !c.peek_identifier().is_empty() {
            literal::item(c).map(|item| vec![item])
        } else {
            Err(c.expected("a list in parentheses or its name"))
        };
    }
    let mut items: Vec<Item> = Vec::new();
    c.blanks();
    if c.symbol(")") {
        return Ok(items);
    }
    loop {
        c.blanks();
        items.push(literal::item(c)?);
        c.blanks();
        if c.symbol(")") {
            return Ok(items);
        }
        c.need(",", "`,` or `)`")?;
    }
}

impl Literal {
    /// The text, when it is a bare word.
    pub fn bare_word(&self) -> Option<&str> {
        if self.quoted { None } else { std::str::from_utf8(&self.bytes).ok() }
    }
}
