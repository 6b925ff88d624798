//! Matching of what is typed in the palette against names: letters in order, words' beginnings preferred.

/// How well `name` matches `typed`, higher is better; `None` when a letter is missing. Case does not matter and
/// spaces in `typed` match nothing of their own.
pub(crate) fn score(typed: &str, name: &str) -> Option<i32> {
    let name: Vec<char> = name.chars().flat_map(char::to_lowercase).collect();
    let mut total = 0;
    let mut at = 0;
    let mut previous: Option<usize> = None;
    for letter in typed.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase) {
        let found = best_place(&name, at, letter, previous)?;
        total += points(&name, found, previous);
        previous = Some(found);
        at = found + 1;
    }
    let length = i32::try_from(name.len()).unwrap_or(i32::MAX);
    Some(total.saturating_mul(100).saturating_sub(length))
}

/// The next place of `letter`: right behind the previous one, else at a word's beginning, else the first.
fn best_place(name: &[char], from: usize, letter: char, previous: Option<usize>) -> Option<usize> {
    let places = || (from..name.len()).filter(|&i| name.get(i) == Some(&letter));
    let adjacent = previous.map(|p| p + 1).filter(|&i| name.get(i) == Some(&letter));
    adjacent.or_else(|| places().find(|&i| begins_word(name, i))).or_else(|| places().next())
}

fn begins_word(name: &[char], at: usize) -> bool {
    at == 0 || at.checked_sub(1).and_then(|i| name.get(i)).is_some_and(|c| !c.is_alphanumeric())
}

fn points(name: &[char], at: usize, previous: Option<usize>) -> i32 {
    let adjacent = previous.is_some_and(|p| p + 1 == at);
    1 + if begins_word(name, at) { 4 } else { 0 } + if adjacent { 3 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best<'a>(typed: &str, names: &[&'a str]) -> &'a str {
        names.iter().filter(|n| score(typed, n).is_some()).max_by_key(|n| score(typed, n)).expect("a match")
    }

    #[test]
    fn beginnings_of_words_win() {
        assert_eq!(best("pp", &["play or pause", "stop it, pip"]), "play or pause");
        assert_eq!(best("go to", &["jump to begin", "go to a moment"]), "go to a moment");
        assert_eq!(best("ti", &["next finding: time", "time format"]), "time format");
    }

    #[test]
    fn a_missing_letter_is_no_match() {
        assert_eq!(score("xyz", "play or pause"), None);
        assert!(score("", "anything").is_some());
    }
}
