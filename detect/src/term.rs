//! Terms made ready: fields and functions of them.

use std::borrow::Cow;

use crate::{
    context::EventContext,
    fields::{self, FieldRef},
    syntax::{
        FilterError, FilterErrorKind,
        ast::{Arg, Function, Literal, Span, Term},
    },
    value::{Kind, Multi, Value},
};

/// A term.
#[derive(Debug)]
pub(crate) enum Source {
    Field(FieldRef),
    Constant(Vec<u8>),
    List(Vec<Source>),
    Call(Function, Vec<Source>, Option<u8>),
}

impl Source {
    pub(crate) fn new(term: &Term) -> Result<Self, FilterError> {
        match term {
            Term::Field { name, arg } => {
                let (def, dotted) =
                    fields::lookup(&name.text).ok_or_else(|| unknown(&name.text, name.span))?;
                let field = FieldRef::new(def, dotted, arg.as_ref()).map_err(|problem| {
                    let field = name.text.clone();
                    FilterError::new(name.span, FilterErrorKind::Argument { field, problem })
                })?;
                let bracketed = arg.as_ref().and_then(|arg| std::str::from_utf8(&arg.bytes).ok());
                known_argument(def.name, dotted.or(bracketed), name.span)?;
                Ok(Self::Field(field))
            }
            Term::Call { function, args, index, span } => call(*function, args, index.as_ref(), *span),
        }
    }

    fn arg(arg: &Arg) -> Result<Self, FilterError> {
        Ok(match arg {
            Arg::Term(term) => Self::new(term)?,
            Arg::Literal(literal) => Self::Constant(literal.bytes.clone()),
            Arg::List(args) => Self::List(args.iter().map(Self::arg).collect::<Result<_, _>>()?),
        })
    }

    /// The type of its values.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Field(field) => field.def().kind,
            Self::Constant(_) | Self::List(_) => Kind::Text,
            Self::Call(Function::Len, ..) => Kind::Number,
            Self::Call(Function::Val | Function::B64, args, _) => args.first().map_or(Kind::Text, Self::kind),
            Self::Call(..) => Kind::Text,
        }
    }

    /// How many values it can have.
    pub(crate) fn multi(&self) -> Multi {
        match self {
            Self::Field(field) => field.multi(),
            Self::Constant(_) => Multi::One,
            Self::List(_) => Multi::List,
            Self::Call(Function::Len | Function::Join | Function::Concat, ..) => Multi::One,
            Self::Call(Function::Getopt, _, index) => {
                if index.is_some() {
                    Multi::One
                } else {
                    Multi::List
                }
            }
            Self::Call(_, args, _) => args.first().map_or(Multi::One, Self::multi),
        }
    }

    /// The value at an event, or of a field what stands in the place of none.
    pub(crate) fn get<'c>(&'c self, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
        match self {
            Self::Field(field) => field.compared(cx),
            Self::Constant(bytes) => Some(Value::text(bytes)),
            Self::List(sources) => {
                Some(Value::Many(sources.iter().map(|source| source.get(cx)).collect::<Option<_>>()?))
            }
            Self::Call(function, args, index) => evaluate(*function, args, *index, cx),
        }
    }

    /// Whether it has a value at an event.
    pub(crate) fn exists(&self, cx: &EventContext<'_>) -> bool {
        match self {
            Self::Field(field) => field.exists(cx),
            other => {
                let mut all = true;
                other.each_field(&mut |field| all &= field.exists(cx));
                all && other.get(cx).is_some_and(|value| !value.each().is_empty())
            }
        }
    }

    /// The value as it is shown: a field that has none has none.
    pub(crate) fn shown<'c>(&'c self, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
        match self {
            Self::Field(field) => field.get(cx),
            other => other.get(cx),
        }
    }

    /// Calls `visit` with every field in it.
    pub(crate) fn each_field(&self, visit: &mut dyn FnMut(&FieldRef)) {
        match self {
            Self::Field(field) => visit(field),
            Self::Constant(_) => {}
            Self::List(sources) | Self::Call(_, sources, _) => {
                sources.iter().for_each(|source| source.each_field(visit));
            }
        }
    }
}

/// The error for a field that is not in the table, with the nearest that is.
pub(crate) fn unknown(name: &str, span: Span) -> FilterError {
    let shown = afterimage_model::text::escape(name.as_bytes()).into_string();
    let error = FilterError::new(span, FilterErrorKind::UnknownField { name: shown });
    if name.contains('.') {
        return error.suggest_near(name, fields::fields().map(|def| def.name));
    }
    let tail = format!(".{name}");
    match fields::fields().find(|def| def.name.ends_with(&tail)) {
        Some(def) => error.suggest(format!("did you mean `{}`?", def.name)),
        None => error,
    }
}

/// Arguments of calls and names of types are checked when a filter is read, so that a typo is an error and not a
/// filter that never matches.
fn known_argument(field: &str, argument: Option<&str>, span: Span) -> Result<(), FilterError> {
    let Some(argument) = argument else { return Ok(()) };
    let name = argument.to_owned();
    match field {
        "evt.arg" | "evt.rawarg" if !fields::is_known_argument(argument) => {
            let problem = "has an argument that no call has";
            Err(FilterError::new(
                span,
                FilterErrorKind::Argument { field: format!("{field}.{name}"), problem },
            ))
        }
        "evt.type.is" if crate::shape::codes(argument).is_none() => {
            Err(FilterError::new(span, FilterErrorKind::Value { value: name, what: "an event type" }))
        }
        _ => Ok(()),
    }
}

fn call(
    function: Function,
    args: &[Arg],
    index: Option<&Literal>,
    span: Span,
) -> Result<Source, FilterError> {
    let sources: Vec<Source> = args.iter().map(Source::arg).collect::<Result<_, _>>()?;
    let refuse = |problem| {
        let kind = FilterErrorKind::Call { function: function.as_str(), problem };
        Err(FilterError::new(span, kind))
    };
    let list = |source: &Source| source.multi() == Multi::List;
    let textual = |source: &Source| matches!(source.kind(), Kind::Text | Kind::Bytes);
    let constant = |source: &Source| matches!(source, Source::Constant(_));
    match (function, sources.as_slice()) {
        (Function::Join, [separator, joined]) if !list(separator) && list(joined) => {}
        (Function::Join, _) => return refuse("takes a separator and a list"),
        (Function::Concat, [_, _, ..]) if sources.iter().all(|s| textual(s) && !list(s)) => {}
        (Function::Concat, _) => return refuse("takes two or more texts"),
        (Function::Getopt, [options, letters]) if list(options) && !list(letters) => {}
        (Function::Getopt, _) => return refuse("takes a list of arguments and a string of option letters"),
        (Function::Len, [one]) if textual(one) || list(one) => {}
        (Function::Len, _) => return refuse("takes one text or list"),
        (Function::Val, [one @ Source::Field(_)]) if !matches!(one.kind(), Kind::Network) => {}
        (Function::Val, _) => return refuse("takes one field"),
        (Function::B64, [one]) if textual(one) && !constant(one) => {}
        (_, [one]) if one.kind() == Kind::Text && !constant(one) => {}
        _ => return refuse("takes one text"),
    }
    let index = match index {
        None => None,
        Some(literal) if function == Function::Getopt && literal.bytes.len() == 1 => {
            literal.bytes.first().copied()
        }
        Some(_) if function == Function::Getopt => return refuse("takes one option letter in brackets"),
        Some(_) => return refuse("takes nothing in brackets"),
    };
    Ok(Source::Call(function, sources, index))
}

fn evaluate<'c>(
    function: Function,
    args: &'c [Source],
    index: Option<u8>,
    cx: &'c EventContext<'_>,
) -> Option<Value<'c>> {
    let first = args.first()?.get(cx)?;
    let texts =
        |value: &Value<'_>| value.each().iter().map(|v| v.to_bytes().into_owned()).collect::<Vec<_>>();
    match function {
        Function::Val => Some(first),
        Function::Tolower => map(first, |text| Some(text.to_ascii_lowercase())),
        Function::Toupper => map(first, |text| Some(text.to_ascii_uppercase())),
        Function::B64 => map(first, decode_base64),
        Function::Basename => map(first, |text| text.rsplit(|b| *b == b'/').next().map(<[u8]>::to_vec)),
        Function::Dirname => map(first, |text| Some(dirname(text).to_vec())),
        Function::Len => {
            let length = match &first {
                Value::Many(values) if args.first()?.multi() == Multi::List => values.len(),
                value => value.to_bytes().len(),
            };
            Some(Value::number(u64::try_from(length).ok()?))
        }
        Function::Join => {
            let list = args.get(1)?.get(cx)?;
            Some(Value::made(texts(&list).join(&first.to_bytes()[..])))
        }
        Function::Concat => {
            let mut out = Vec::new();
            for source in args {
                out.extend_from_slice(&source.get(cx)?.to_bytes());
            }
            Some(Value::made(out))
        }
        Function::Getopt => {
            let letters = args.get(1)?.get(cx)?;
            getopt(&texts(&first), &letters.to_bytes(), index)
        }
    }
}

/// Applies a function of texts to each of the values.
fn map<'c>(value: Value<'c>, change: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Value<'c>> {
    match value {
        Value::Many(values) => Some(Value::Many(
            values.into_iter().map(|v| change(&v.to_bytes()).map(Value::made)).collect::<Option<_>>()?,
        )),
        one => change(&one.to_bytes()).map(|text| Value::Text(Cow::Owned(text))),
    }
}

fn dirname(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|b| *b == b'/') {
        None => b".",
        Some(0) => b"/",
        Some(at) => &path[..at],
    }
}

/// Decodes base64 with or without padding; `None` when it is none.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut have) = (0u32, 0);
    for byte in text {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push((bits >> have & 0xff) as u8);
        }
    }
    (text.len() % 4 != 1).then_some(out)
}

/// The options of a list of arguments as getopt(3) reads them: each letter, and its value where it takes one; with a
/// wanted letter the last value of it (or the letter, when it takes none).
fn getopt(args: &[Vec<u8>], letters: &[u8], wanted: Option<u8>) -> Option<Value<'static>> {
    let takes_value = |letter: u8| {
        let at = letters.iter().position(|l| *l == letter && letter != b':')?;
        Some(letters.get(at + 1) == Some(&b':'))
    };
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut selected = None;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let Some(options) = arg.strip_prefix(b"-").filter(|o| !o.is_empty() && o[0] != b'-') else {
            if arg == b"--" {
                break;
            }
            continue;
        };
        for (at, letter) in options.iter().enumerate() {
            match takes_value(*letter) {
                None => found.push(b"?".to_vec()),
                Some(false) => {
                    found.push(vec![*letter]);
                    if wanted == Some(*letter) {
                        selected = Some(vec![*letter]);
                    }
                }
                Some(true) => {
                    let own = &options[at + 1..];
                    let value = if own.is_empty() { args.next().cloned() } else { Some(own.to_vec()) };
                    let value = value.unwrap_or_default();
                    if wanted == Some(*letter) {
                        selected = Some(value.clone());
                    }
                    found.push(vec![*letter]);
                    found.push(value);
                    break;
                }
            }
        }
    }
    match wanted {
        Some(_) => selected.map(Value::made),
        None => Some(Value::Many(found.into_iter().map(Value::made).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded_with_and_without_padding() {
        for (text, plain) in [("aGk=", "hi"), ("aGk", "hi"), ("YQ==", "a"), ("", ""), ("Zm9vYmFy", "foobar")]
        {
            assert_eq!(decode_base64(text.as_bytes()).unwrap(), plain.as_bytes(), "{text}");
        }
        assert_eq!(decode_base64(b"a b"), None);
        assert_eq!(decode_base64(b"aaaaa"), None);
    }

    #[test]
    fn options_are_read_as_getopt_reads_them() {
        let args: Vec<Vec<u8>> =
            ["-xf", "a.tar", "-v", "--", "-z"].iter().map(|a| a.as_bytes().to_vec()).collect();
        let list =
            |value: Option<Value<'_>>| value.map(|v| String::from_utf8(v.to_bytes().into_owned()).unwrap());
        assert_eq!(list(getopt(&args, b"xf:v", None)).as_deref(), Some("x f a.tar v"));
        assert_eq!(list(getopt(&args, b"xf:v", Some(b'f'))).as_deref(), Some("a.tar"));
        assert_eq!(getopt(&args, b"xf:vz", Some(b'z')), None);
    }
}
