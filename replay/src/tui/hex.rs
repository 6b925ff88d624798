//! Bytes to look at: as hexadecimal with text beside it, or as escaped text.

use afterimage_model::text::escape;

use crate::tui::{paint::Row, text::safe, theme::Role};

/// Bytes in a row of hexadecimal, by the columns there are.
pub(crate) fn per_row(columns: u16) -> usize {
    match columns {
        76.. => 16,
        42.. => 8,
        20.. => 4,
        _ => 2,
    }
}

/// Bytes in a row of text: each takes at most ten columns when it is escaped.
fn text_bytes(columns: u16) -> usize {
    usize::from(columns / 2).max(8)
}

/// How many rows the bytes take.
pub(crate) fn rows(bytes: &[u8], hex: bool, columns: u16) -> usize {
    bytes.len().div_ceil(if hex { per_row(columns) } else { text_bytes(columns) })
}

/// One row.
pub(crate) fn row(bytes: &[u8], at: usize, hex: bool, columns: u16) -> Row {
    let each = if hex { per_row(columns) } else { text_bytes(columns) };
    let from = at.saturating_mul(each);
    let part = bytes.get(from..bytes.len().min(from.saturating_add(each))).unwrap_or(&[]);
    if !hex {
        return Row::new().add(&safe!("{from:06x}  "), Role::Dim).add(&escape(part), Role::Text);
    }
    digits(part, from, each)
}

/// A row of hexadecimal for these bytes, which are `from` bytes behind a beginning that is told as 0.
pub(crate) fn row_at(part: &[u8], from: usize, columns: u16) -> Row {
    digits(part, from, per_row(columns).max(part.len()))
}

fn digits(part: &[u8], from: usize, each: usize) -> Row {
    let mut digits = String::new();
    for (i, byte) in part.iter().enumerate() {
        if i > 0 && i % 8 == 0 {
            digits.push(' ');
        }
        digits.push_str(&format!("{byte:02x} "));
    }
    let room = each * 3 + (each - 1) / 8;
    let shown: String = part
        .iter()
        .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' })
        .collect();
    Row::new()
        .add(&safe!("{from:06x}  "), Role::Dim)
        .add(&safe!("{digits:<room$} "), Role::Text)
        .add(&safe!("{shown}"), Role::Dim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_in_exactly_one_row() {
        let bytes: Vec<u8> = (0..=255).collect();
        for (hex, columns) in [(true, 80), (true, 50), (true, 20), (false, 60)] {
            let rows = rows(&bytes, hex, columns);
            assert!(rows > 0);
            assert_ne!(row(&bytes, rows - 1, hex, columns), row(&bytes, rows, hex, columns));
        }
        assert_eq!(rows(&bytes, true, 80), 16);
        assert_eq!(rows(&[], true, 80), 0);
    }

    #[test]
    fn hex_shows_digits_and_letters() {
        let row = row(b"\x7fELF\x1b[", 0, true, 42);
        let expected = Row::new()
            .add("000000  ", Role::Dim)
            .add("7f 45 4c 46 1b 5b        ", Role::Text)
            .add(".ELF.[", Role::Dim);
        assert_eq!(row, expected);
    }
}
