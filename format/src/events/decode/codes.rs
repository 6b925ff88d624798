//! The codes of a block's rows, and which rows have which.
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]

use super::{Chosen, Decode, MISSING, narrow};
use crate::{
    bytes::Malformed,
    events::{
        column,
        order::{BYTE, Groups},
    },
    stream::{Numbers, read_numbers, read_stream},
};

const NONE: Malformed = Malformed("a row has no code");

impl Decode<'_> {
    /// Each row's code, and the rows of each: of those that `only` names, where it is there. Notes which `whole` names.
    pub(super) fn codes(&mut self, only: Chosen<'_>, whole: Chosen<'_>) -> Result<(), Malformed> {
        let count = self.count;
        let (rows, by_code) = (&mut self.rows.code, &mut self.tables.by_code);
        let are_whole = &mut self.tables.whole;
        let read = self.source.column(column::CODES, |input, values| {
            let codes = input.count(count)?;
            read_stream(input, codes, values)?;
            let codes = values.iter().map(|&c| narrow::<u16>(c)).collect::<Result<Vec<_>, _>>()?;
            if !codes.is_sorted_by(|a, b| a < b) {
                return Err(Malformed("codes are not in rising order"));
            }
            are_whole.clear();
            are_whole.extend(codes.iter().map(|code| whole.is_none_or(|whole| whole(*code))));
            let chosen: Option<Vec<bool>> = only.map(|only| codes.iter().map(|code| only(*code)).collect());
            let chosen = chosen.as_deref();
            match read_numbers(input, count, values)? {
                Numbers::Bytes(index) => group(index, &codes, chosen, rows, by_code),
                Numbers::Each(index) => group(index, &codes, chosen, rows, by_code),
                Numbers::Same(index) => group(&vec![index; count], &codes, chosen, rows, by_code),
            }
        });
        read?.ok_or(MISSING)
    }
}

/// Looks up the code of each row by its index among the codes, and groups the rows.
fn group<K: Copy + Ord + Into<u64>>(
    index: &[K],
    codes: &[u16],
    chosen: Option<&[bool]>,
    rows: &mut Vec<u16>,
    by_code: &mut Groups,
) -> Result<(), Malformed> {
    // Of copies: of what is lent, the compiler looks at one after the other.
    if index.iter().copied().max().is_none_or(|most| most.into() >= codes.len() as u64) {
        return Err(NONE);
    }
    if codes.len() <= BYTE {
        // With a code for whatever a byte can be, none has to be asked whether it is there.
        let mut table = [0u16; BYTE];
        table.iter_mut().zip(codes).for_each(|(to, code)| *to = *code);
        let code = |&at: &K| table.get(at.into() as usize % BYTE).copied().unwrap_or(0);
        rows.extend(index.iter().map(code));
    } else {
        rows.extend(index.iter().filter_map(|&at| codes.get(at.into() as usize)));
    }
    match chosen {
        Some(chosen) => by_code.refill_chosen(index, chosen),
        None => by_code.refill(index, codes.len()),
    }
    Ok(())
}
