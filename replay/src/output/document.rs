//! A JSON object that is put together by dotted names.

use serde_json::{Map, Value};

use super::Machine;

/// An object; what is unknown is no member of it.
#[derive(Debug, Default)]
pub(super) struct Document(Map<String, Value>);

impl Document {
    /// Puts a value at a place such as `process.parent.pid`, unless it is nothing.
    pub(super) fn set(&mut self, place: &str, value: impl Into<Machine>) {
        let value = value.into().into_value();
        if value.is_null() {
            return;
        }
        let (parents, name) = place.rsplit_once('.').unwrap_or(("", place));
        let mut map = &mut self.0;
        for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
            let entry = map.entry(parent).or_insert_with(|| Value::Object(Map::new()));
            if !entry.is_object() {
                *entry = Value::Object(Map::new());
            }
            let Value::Object(inner) = entry else { return };
            map = inner;
        }
        map.insert(name.to_owned(), value);
    }

    /// Puts a list, unless it is empty.
    pub(super) fn list<T: Into<Machine>>(&mut self, place: &str, items: impl IntoIterator<Item = T>) {
        let items: Vec<Machine> = items.into_iter().map(Into::into).collect();
        if !items.is_empty() {
            self.set(place, Machine::list(items));
        }
    }

    /// Puts another object, unless it is empty.
    pub(super) fn nest(&mut self, place: &str, inner: Self) {
        if !inner.is_empty() {
            self.set(place, inner);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

impl From<Document> for Machine {
    fn from(document: Document) -> Self {
        Self::object_of(document.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_nest_and_nothing_is_no_member() {
        let mut document = Document::default();
        document.set("a.b.c", 1_u32);
        document.set("a.d", "x");
        document.set("a.e", None::<u32>);
        document.list("f", ["y"]);
        document.list("g", std::iter::empty::<u32>());
        document.nest("h", Document::default());
        assert_eq!(document.into_value().to_string(), r#"{"a":{"b":{"c":1},"d":"x"},"f":["y"]}"#);
    }
}
