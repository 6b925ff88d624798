//! Modes of files on the right side of a comparison: people write them in octal, with a leading 0.

use std::borrow::Cow;

use afterimage_model::symbols;

use crate::{
    fields::FieldRef,
    syntax::ast::{Item, Literal, Op, Right},
};

/// The right side as the field has it: `0755` of a raw argument is a number, of `evt.arg.mode` that spelling, however many
/// zeros were written.
pub(crate) fn read<'r>(field: &FieldRef, op: Op, right: &'r Right) -> Cow<'r, Right> {
    let is_raw = field.def().name == "evt.rawarg";
    let compares = matches!(op, Op::Eq | Op::Ne | Op::In | Op::Intersects) || is_raw && op.takes_number();
    if !field.is_mode() || !compares {
        return Cow::Borrowed(right);
    }
    let spelt = |literal: &Literal| match octal(&literal.bytes) {
        Some(mode) => {
            let bytes = if is_raw { mode.to_string() } else { symbols::mode(mode) }.into_bytes();
            Literal { bytes, ..literal.clone() }
        }
        None => literal.clone(),
    };
    Cow::Owned(match right {
        Right::Literal(literal) => Right::Literal(spelt(literal)),
        Right::List(items) => Right::List(
            items
                .iter()
                .map(|item| match item {
                    Item::One(literal) => Item::One(spelt(literal)),
                    Item::Range(low, high) => Item::Range(spelt(low), spelt(high)),
                })
                .collect(),
        ),
        Right::Term(term) => Right::Term(term.clone()),
    })
}

/// Whether all digits are octal ones.
pub(crate) fn is_octal(digits: &str) -> bool {
    digits.bytes().all(|b| matches!(b, b'0'..=b'7'))
}

/// A number with a leading 0.
fn octal(bytes: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(bytes).ok()?.strip_prefix('0')?;
    (!digits.is_empty() && is_octal(digits)).then(|| u64::from_str_radix(digits, 8).ok()).flatten()
}
