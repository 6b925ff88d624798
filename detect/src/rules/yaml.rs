//! YAML as far as rule files use it, every node with its place in the file.
//!
//! `saphyr-parser` is the YAML 1.2 parser here: it is maintained, has no unsafe code and one small dependency, and gives
//! the place and style of every scalar, which a serde front end would hide. Errors can so point into a folded condition.
//! Files are not trusted: their size, depth and number of nodes (aliases put in) are bounded.

use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

/// Longest rule file. Bytes.
const MAX_FILE: usize = 1 << 24;
/// Deepest nesting.
const MAX_DEPTH: usize = 32;
/// Most nodes of a file, with those that aliases stand for.
const MAX_NODES: usize = 500_000;
/// Most text that aliases stand for. Bytes.
const MAX_ALIASED: usize = 1 << 22;

/// A file's name and text.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    text: String,
}

/// A place in a file.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) file: Arc<File>,
    /// From 1.
    pub(super) line: usize,
    /// From 1, in characters.
    pub(super) column: usize,
}

/// A node and its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// A node's value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
}

/// A scalar: its text, and where its source begins.
#[derive(Debug, Clone)]
pub(super) struct Scalar {
    pub(super) text: String,
    file: Arc<File>,
    /// In characters from the file's beginning.
    index: usize,
    style: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Quoted,
    Block,
}

/// A file that is not YAML, or more than is read.
#[derive(Debug)]
pub(super) struct YamlError {
    pub(super) place: Place,
    pub(super) message: String,
}

impl Place {
    fn new(file: &Arc<File>, marker: &Marker) -> Self {
        Self { file: Arc::clone(file), line: marker.line(), column: marker.col() + 1 }
    }

    /// The beginning of a file.
    pub(super) fn start(file: &Arc<File>) -> Self {
        Self { file: Arc::clone(file), line: 1, column: 1 }
    }
}

/// Reads all documents of a file.
pub(super) fn read(name: &str, text: &str) -> Result<Vec<Node>, YamlError> {
    let too_long = text.len() > MAX_FILE;
    let kept = if too_long { String::new() } else { text.to_owned() };
    let file = Arc::new(File { name: name.to_owned(), text: kept });
    if too_long {
        let message = format!("file of {} bytes is longer than {MAX_FILE}", text.len());
        return Err(YamlError { place: Place::start(&file), message });
    }
    match documents(&file) {
        Err(error) if error.message == OUTDENTED => {
            documents(&Arc::new(File { name: name.to_owned(), text: with_brackets_moved(&file.text) }))
        }
        done => done,
    }
}

/// What the parser says of a token that is not deep enough in its line.
const OUTDENTED: &str = "invalid indentation";

/// The text with a blank before every line that is nothing but closing brackets. Falco's own rules have such lists, whose end is
/// no deeper than their key; Falco's parser takes that, ours after a quoted item does not. Elsewhere a line begins so in a
/// text alone, where a blank more is none that counts.
fn with_brackets_moved(text: &str) -> String {
    let mut moved = String::with_capacity(text.len() + text.len() / 64);
    for line in text.split_inclusive('\n') {
        let solid = line.trim();
        if solid.starts_with([']', '}']) && solid.chars().all(|c| "]},".contains(c)) {
            moved.push(' ');
        }
        moved.push_str(line);
    }
    moved
}

fn documents(file: &Arc<File>) -> Result<Vec<Node>, YamlError> {
    let mut builder = Builder {
        file: Arc::clone(file),
        open: Vec::new(),
        documents: Vec::new(),
        anchors: Vec::new(),
        nodes: 0,
        aliased: 0,
    };
    for event in Parser::new_from_str(&file.text) {
        match event {
            Ok((event, span)) => builder.take(event, &span.start)?,
            Err(error) => {
                let place = Place::new(file, error.marker());
                return Err(YamlError { place, message: error.info().to_owned() });
            }
        }
    }
    Ok(builder.documents)
}

/// Makes a tree of events.
struct Builder {
    file: Arc<File>,
    /// Unfinished nodes with their anchors, and for mappings the key that waits for its value.
    open: Vec<(Node, usize, Option<Node>)>,
    documents: Vec<Node>,
    anchors: Vec<(usize, Node)>,
    nodes: usize,
    aliased: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, start: &Marker) -> Result<(), YamlError> {
        let place = Place::new(&self.file, start);
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let node = self.scalar(text.into_owned(), style, start, place);
                self.finish(node, anchor, 1)
            }
            Event::SequenceStart(anchor, _) => {
                self.begin(Node { place, value: Value::Sequence(Vec::new()) }, anchor)
            }
            Event::MappingStart(anchor, _) => {
                self.begin(Node { place, value: Value::Mapping(Vec::new()) }, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some((node, anchor, _)) => self.finish(node, anchor, 0),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let known =
                    self.anchors.iter().rev().find(|(own, _)| *own == anchor).map(|(_, node)| node.clone());
                match known {
                    Some(node) => {
                        let (size, bytes) = node.size();
                        self.aliased = self.aliased.saturating_add(bytes);
                        if self.aliased > MAX_ALIASED {
                            let message = format!("aliases of more than {MAX_ALIASED} bytes");
                            return Err(YamlError { place, message });
                        }
                        self.finish(node, 0, size)
                    }
                    None => Err(YamlError {
                        place,
                        message: "alias of something that is not finished".to_owned(),
                    }),
                }
            }
            _ => Ok(()),
        }
    }

    fn scalar(&self, text: String, style: ScalarStyle, start: &Marker, place: Place) -> Node {
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
            ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
        };
        let null = style == Style::Plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
        let value = if null {
            Value::Null
        } else {
            Value::Scalar(Scalar { text, file: Arc::clone(&self.file), index: start.index(), style })
        };
        Node { place, value }
    }

    fn begin(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(YamlError {
                place: node.place,
                message: format!("nested deeper than {MAX_DEPTH} levels"),
            });
        }
        self.nodes += 1;
        self.open.push((node, anchor, None));
        Ok(())
    }

    fn finish(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), YamlError> {
        self.nodes += size;
        if self.nodes > MAX_NODES {
            return Err(YamlError { place: node.place, message: format!("more than {MAX_NODES} nodes") });
        }
        if anchor != 0 {
            self.anchors.push((anchor, node.clone()));
        }
        match self.open.last_mut() {
            None => self.documents.push(node),
            Some((Node { value: Value::Sequence(items), .. }, ..)) => items.push(node),
            Some((Node { value: Value::Mapping(pairs), .. }, _, key)) => match key.take() {
                Some(key) => pairs.push((key, node)),
                None => *key = Some(node),
            },
            Some(_) => {}
        }
        Ok(())
    }
}

impl Node {
    /// Nodes and bytes of text.
    fn size(&self) -> (usize, usize) {
        let sum = |nodes: &mut dyn Iterator<Item = &Self>| {
            nodes.map(Self::size).fold((1, 0), |(nodes, bytes), (own, text)| (nodes + own, bytes + text))
        };
        match &self.value {
            Value::Sequence(items) => sum(&mut items.iter()),
            Value::Mapping(pairs) => sum(&mut pairs.iter().flat_map(|(key, value)| [key, value])),
            Value::Scalar(scalar) => (1, scalar.text.len()),
            Value::Null => (1, 0),
        }
    }

    /// The value of a key of a mapping.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Mapping(pairs) = &self.value else { return None };
        pairs.iter().find(|(own, _)| own.text() == Some(key)).map(|(_, value)| value)
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }
}

impl Scalar {
    /// The place in the file of a byte of the text. Blanks are where folding changes a text: the place is found by
    /// counting the other characters.
    pub(super) fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset.min(self.text.len())).unwrap_or(&self.text);
        let mut solid = before.chars().filter(|c| !c.is_whitespace()).count();
        let mut source = self.file.text.chars().enumerate().skip(self.index).peekable();
        if self.style == Style::Block && source.peek().is_some_and(|(_, c)| "|>".contains(*c)) {
            source.by_ref().find(|(_, c)| *c == '\n');
        }
        if self.style == Style::Quoted {
            source.next();
        }
        let at_end = self.text.get(offset..).is_none_or(|rest| rest.trim().is_empty());
        let mut at = self.index;
        for (index, c) in source {
            at = index;
            if solid == 0 && (at_end || !c.is_whitespace()) {
                break;
            }
            solid -= usize::from(!c.is_whitespace());
            at = index + 1;
        }
        let (mut line, mut column) = (1, 1);
        for c in self.file.text.chars().take(at) {
            if c == '\n' {
                line += 1;
                column = 1;
            } else {
                column += 1;
            }
        }
        Place { file: Arc::clone(&self.file), line, column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(text: &str) -> Scalar {
        let documents = read("f", text).unwrap();
        let Value::Sequence(items) = &documents[0].value else { panic!("no sequence") };
        let Value::Scalar(scalar) = items[0].get("c").unwrap().value.clone() else { panic!("no scalar") };
        scalar
    }

    #[test]
    fn places_point_into_every_style_of_scalar() {
        for text in [
            "- c: alpha beta and BAD\n",
            "- c: >\n    alpha\n    beta and\n    BAD\n",
            "- c: |-\n    alpha beta\n\n    and BAD x\n",
            "- c: \"alpha beta and BAD\"\n",
            "- c:\n    alpha beta\n    and BAD\n",
            "- d: 1\n  c: 'alpha  beta and BAD'\n",
        ] {
            let scalar = condition(text);
            let offset = scalar.text.find("BAD").unwrap();
            let place = scalar.place(offset);
            let line = text.lines().nth(place.line - 1).unwrap();
            assert_eq!(line.find("BAD").map(|at| at + 1), Some(place.column), "{text}: {place:?}");
        }
    }

    #[test]
    fn a_list_may_end_as_deep_as_its_key_begins() {
        let text = "- a: [\n    \"x\",\n    \"y\"\n  ]\n  b: [\n    \"z\"\n  ]\n  c: alpha BAD\n";
        let documents = read("f", text).unwrap();
        let Value::Sequence(items) = &documents[0].value else { panic!("no sequence") };
        let Some(Node { value: Value::Sequence(list), .. }) = items[0].get("a") else { panic!("no list") };
        assert_eq!(list.iter().filter_map(Node::text).collect::<Vec<_>>(), ["x", "y"]);
        let scalar = condition(text);
        let place = scalar.place(6);
        assert_eq!((place.line, place.column), (8, 12));
        // What is wrong besides is told where it is.
        let error = read("f", &format!("{text} - [\n")).unwrap_err();
        assert_eq!(error.place.line, 9, "{error:?}");
        assert!(read("f", "a:\n  - \"x\"\n ]\n").is_err());
    }

    #[test]
    fn hostile_files_are_refused() {
        let bomb = "- &a [x, x, x, x, x, x, x, x, x]\n".to_owned()
            + &(0..9)
                .map(|i| {
                    format!(
                        "- &{} [*{}, *{}, *{}, *{}, *{}, *{}, *{}, *{}, *{}]\n",
                        char::from(b'b' + i),
                        char::from(b'a' + i),
                        char::from(b'a' + i),
                        char::from(b'a' + i),
                        char::from(b'a' + i),
                        char::from(b'a' + i),
                        char::from(b'a' + i),
                        char::from(b'a' + i),
                        char::from(b'a' + i),
                        char::from(b'a' + i)
                    )
                })
                .collect::<String>();
        assert!(read("f", &bomb).unwrap_err().message.contains("nodes"));
        let long = format!("- &a {}\n{}", "x".repeat(1 << 16), "- *a\n".repeat(100));
        assert!(read("f", &long).unwrap_err().message.contains("aliases"));
        assert!(read("f", &"[".repeat(1000)).is_err());
        assert!(read("f", "a: [").is_err());
        assert!(read("f", "- &a [*a]").is_err());
    }
}
