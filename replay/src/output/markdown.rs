//! Cells of a Markdown table: every character that Markdown or HTML gives a meaning is escaped, so that content
//! can make no link, image, tag or further column.

/// Text in Markdown, in a table's cell or outside.
pub fn field(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '|' => out.push_str("&#124;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '!' | '#' | '~' | '@' => {
                out.push('\\');
                out.push(c);
            }
            // Before a digit or a blank it begins no link: times and ports are read as they are.
            ':' if chars.peek().is_some_and(|next| !matches!(next, '0'..='9' | ' ')) => {
                out.push_str("&#58;");
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_tags_and_columns_cannot_be_made() {
        let hostile = "![x](http://e/)|<img src=x>`a`";
        let text = field(hostile);
        assert!(!text.contains("!["), "{text}");
        assert!(!text.contains("]("), "{text}");
        assert!(!text.contains('|') && !text.contains('<'), "{text}");
        assert!(!text.contains("http:"), "autolinks: {text}");
        assert!(!field("mailto:a@e").contains("mailto:"));
    }

    #[test]
    fn times_and_ports_stay_readable() {
        assert_eq!(field("2026-11-22T09:29:57Z tcp 127.0.0.1:80"), "2026-11-22T09:29:57Z tcp 127.0.0.1:80");
        assert_eq!(field("executed: /x:"), "executed: /x:");
    }
}
