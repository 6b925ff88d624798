//! What a check says that works but may not mean what its writer thinks.

use afterimage_model::text::escape;

use crate::{
    compare, complete,
    fields::FieldRef,
    modes,
    syntax::{
        ast::{Item, Literal, Op, Right, Span},
        nearest,
    },
    value::{Kind, Multi},
};

/// Something that works but may not mean what its writer thinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterWarning {
    /// The bytes concerned.
    pub span: Span,
    /// What about them, a sentence without its period.
    pub message: String,
}

/// All that is to be said of a field compared with something.
pub(crate) fn of_check(field: &FieldRef, op: Op, right: &Right, span: Span) -> Vec<FilterWarning> {
    let mut warnings: Vec<FilterWarning> = Vec::new();
    let mut say = |span: Span, message: Option<String>| {
        warnings.extend(message.map(|message| FilterWarning { span, message }));
    };
    say(span, of_field(field, op));
    let equals = matches!(op, Op::Eq | Op::Ne | Op::In | Op::Intersects);
    for (literal, alone) in literals(right) {
        if equals && alone {
            say(literal.span, unlisted(field, literal));
        }
        say(literal.span, of_mode(field, literal).or_else(|| of_number(field, literal)));
    }
    warnings
}

/// Of a field that is asked whether it has a value.
pub(crate) fn of_exists(field: &FieldRef, span: Span) -> Option<FilterWarning> {
    Some(FilterWarning { span, message: unrecorded(field)? })
}

/// Of a field that nothing recorded can answer.
fn unrecorded(field: &FieldRef) -> Option<String> {
    let name = field.def().name;
    (!field.def().is_recorded()).then(|| format!("`{name}` is not recorded: the check is never true"))
}

/// The values on the right side, and whether each stands for itself: the ends of a range do not.
fn literals(right: &Right) -> Vec<(&Literal, bool)> {
    match right {
        Right::Literal(literal) => vec![(literal, true)],
        Right::List(items) => items
            .iter()
            .flat_map(|item| match item {
                Item::One(literal) => vec![(literal, true)],
                Item::Range(low, high) => vec![(low, false), (high, false)],
            })
            .collect(),
        Right::Term(_) => Vec::new(),
    }
}

/// Of fields and operators that surprise.
fn of_field(field: &FieldRef, op: Op) -> Option<String> {
    let name = field.def().name;
    if name == "evt.dir" {
        return Some("`evt.dir` is ignored: calls are recorded when they return".to_owned());
    }
    let any_ancestor = || {
        (op == Op::Ne && field.multi() == Multi::Ancestors).then(|| {
            format!("`{name} !=` is true when any ancestor differs; write `not {name} = ...` for none")
        })
    };
    let orders = matches!(op, Op::Lt | Op::Le | Op::Gt | Op::Ge);
    let by_weight = || {
        (orders && matches!(name, "find.sev" | "alert.priority"))
            .then(|| format!("`{name}` is compared letter by letter, not by weight; write `{name} in (...)`"))
    };
    unrecorded(field).or_else(by_weight).or_else(any_ancestor)
}

/// Of a value that a field with a list of values never has.
fn unlisted(field: &FieldRef, literal: &Literal) -> Option<String> {
    let values = complete::closed(field.def())?;
    let value = escape(&literal.bytes);
    let value = value.as_str();
    if field.stand_in() == Some(value.as_bytes()) || values.contains(&value) {
        return None;
    }
    let name = field.def().name;
    Some(match nearest(value, values.iter().copied()) {
        _ if value == "<NA>" => format!("`{name}` never is `<NA>`; write `not {name} exists`"),
        Some(near) => format!("`{name}` never is `{value}`; did you mean `{near}`?"),
        None => format!("`{name}` never is `{value}`; it is one of {}", values.join(", ")),
    })
}

/// Of a mode without its leading 0.
fn of_mode(field: &FieldRef, literal: &Literal) -> Option<String> {
    let text = std::str::from_utf8(&literal.bytes).ok().filter(|_| field.is_mode())?;
    let lacks = (3..=4).contains(&text.len()) && !text.starts_with('0') && modes::is_octal(text);
    lacks.then(|| format!("`{}.mode` is octal with a leading 0: write `0{text}`", field.def().name))
}

/// Of a number that is read otherwise than it looks, or that the field never has.
fn of_number(field: &FieldRef, literal: &Literal) -> Option<String> {
    let (kind, name) = (field.def().kind, field.def().name);
    if !kind.is_number() || field.is_mode() {
        return None;
    }
    let text = std::str::from_utf8(&literal.bytes).ok()?;
    let rest = text.strip_prefix('0').filter(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    let digits = rest.map_or("", |rest| rest.trim_start_matches('0'));
    if !digits.is_empty() {
        return Some(format!("`{text}` is read as {digits}: numbers are decimal, or hexadecimal with `0x`"));
    }
    let number = compare::number(kind, literal).ok()?;
    let (low, high) = range(kind, name)?;
    (number < low || high < number).then(|| format!("`{name}` is from {low} to {high}, never `{text}`"))
}

/// Highest id of a process that Linux gives (`PID_MAX_LIMIT`).
const HIGHEST_PID: i128 = 4_194_304;
const HIGHEST_ID: i128 = 4_294_967_295;

/// The least and the greatest number that a field can be, where there is a bound that people get wrong.
fn range(kind: Kind, name: &str) -> Option<(i128, i128)> {
    match name {
        _ if kind == Kind::Port => Some((0, 65_535)),
        "fd.num" => Some((-1, i32::MAX.into())),
        "proc.pid" | "proc.ppid" | "proc.apid" | "proc.vpid" | "proc.pvpid" | "proc.sid" | "proc.pgid"
        | "proc.vpgid" | "proc.loginshellid" | "thread.tid" | "thread.vtid" => Some((0, HIGHEST_PID)),
        "user.uid" | "group.gid" => Some((0, HIGHEST_ID)),
        "user.loginuid" => Some((-1, HIGHEST_ID)),
        "evt.type.is" | "evt.count.error" => Some((0, 1)),
        _ => None,
    }
}
