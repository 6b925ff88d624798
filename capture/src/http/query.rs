//! Query strings and encoded path segments.

use std::collections::BTreeMap;

/// Most members of a query.
const MOST: usize = 64;

/// Members of a URI's query, decoded; the first of each name.
pub fn members(uri: &str) -> BTreeMap<String, String> {
    let mut members = BTreeMap::new();
    let Some((_, query)) = uri.split_once('?') else { return members };
    for pair in query.split('&').filter(|pair| !pair.is_empty()).take(MOST) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        members.entry(decode(name)).or_insert_with(|| decode(value));
    }
    members
}

/// Percent signs and plus signs as they are meant. What is not UTF-8 becomes U+FFFD.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digit = |at: usize| bytes.get(at).and_then(|b| (*b as char).to_digit(16));
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) => out.push(b' '),
            _ => out.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Text as a value of a query or a segment of a path.
pub fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for text in ["", "a b", "100%", "ä&=?+/%41", "\u{0}\u{7f}"] {
            assert_eq!(decode(&encode(text)), text);
        }
        assert_eq!(decode("%zz%4"), "%zz%4", "what is no escape stays");
        assert_eq!(decode("%ff"), "\u{fffd}");
        let members = members("/v1/live?filter=proc.name%3Dsh&a&a=2");
        assert_eq!(members["filter"], "proc.name=sh");
        assert_eq!(members["a"], "");
    }
}
