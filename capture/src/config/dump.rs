//! The effective configuration as a configuration file, each value with its origin.

use std::fmt::Write as _;

use serde_json::{Map, json};

use super::{
    keys::KEYS,
    layers::Settings,
    value::{Kind, Value},
};

impl Settings {
    /// As TOML that reads back to the same values.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        let mut section = "";
        let mut tables = Vec::new();
        for key in KEYS {
            let Some((value, origin)) = self.get(key.name) else { continue };
            let (own, short) = key.name.split_once('.').unwrap_or(("", key.name));
            if let (Kind::Tables(keys), Value::Tables(entries)) = (key.kind, value) {
                tables.extend(entries.iter().map(|entry| (key.name, keys, entry)));
                continue;
            }
            if own != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                let _ = writeln!(out, "{gap}[{own}]");
                section = own;
            }
            let _ = writeln!(out, "{:<44} # {origin}", format!("{short} = {}", key.kind.write(value)));
        }
        for (name, keys, entry) in tables {
            let _ = writeln!(out, "\n[[{name}]]");
            for key in keys {
                if let Some((value, origin)) = entry.get(key.name) {
                    let line = format!("{} = {}", key.name, key.kind.write(value));
                    let _ = writeln!(out, "{line:<44} # {origin}");
                }
            }
        }
        out
    }

    /// As JSON: for each key its value and origin.
    pub fn to_json(&self) -> serde_json::Value {
        let mut settings = Map::new();
        for key in KEYS {
            let Some((value, origin)) = self.get(key.name) else { continue };
            let entry = json!({
                "value": to_json(key.kind, value),
                "origin": origin.to_string(),
                "reloads": key.reloads,
            });
            settings.insert(key.name.to_owned(), entry);
        }
        json!({ "schema": 1, "kind": "config", "settings": settings })
    }
}

fn to_json(kind: Kind, value: &Value) -> serde_json::Value {
    match (kind, value) {
        (_, Value::Bool(yes)) => json!(yes),
        (Kind::Duration(..), Value::Number(_)) => json!(kind.write(value).trim_matches('"')),
        (_, Value::Number(number)) => json!(number),
        (_, Value::Text(text)) => json!(text),
        (_, Value::List(texts)) => json!(texts),
        (Kind::Tables(keys), Value::Tables(entries)) => entries
            .iter()
            .map(|entry| {
                let fields = keys.iter().filter_map(|key| {
                    entry.get(key.name).map(|(value, _)| (key.name.to_owned(), to_json(key.kind, value)))
                });
                serde_json::Value::Object(fields.collect())
            })
            .collect(),
        (_, Value::Tables(_)) => serde_json::Value::Null,
    }
}

/// Every key with its default and meaning, as a commented configuration file.
pub fn reference() -> String {
    let mut out = String::from("# Every key with its default. Uncomment what you change.\n");
    let mut section = "";
    let mut tables = Vec::new();
    for key in KEYS {
        let (own, short) = key.name.split_once('.').unwrap_or(("", key.name));
        if let Kind::Tables(keys) = key.kind {
            tables.push((key, keys));
            continue;
        }
        if own != section {
            let _ = writeln!(out, "\n[{own}]");
            section = own;
        }
        let default = key.kind.read(key.default).map(|value| key.kind.write(&value)).unwrap_or_default();
        let when = if key.reloads { "" } else { " (restart)" };
        let _ = writeln!(out, "# {}{when}\n# {short} = {default}", key.help);
    }
    for (table, keys) in tables {
        let _ = writeln!(out, "\n# {}\n# [[{}]]", table.help, table.name);
        for key in keys {
            let default = key.kind.read(key.default).map(|value| key.kind.write(&value)).unwrap_or_default();
            let _ = writeln!(out, "# {} = {default}    # {}", key.name, key.help);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{super::layers::Sources, *};

    #[test]
    fn a_dump_reads_back_to_the_same_values() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        let text = "rules.files = [\"/a b\", \"c\\\\d\"]\n[[triggers.actions]]\nrule = \"Terminal*\"\nbefore = \"1h\"\n\
                    [[triggers.actions]]\naction = \"mark\"\n";
        std::fs::write(&file, text).unwrap();
        let sources = Sources { file: Some(file.clone()), ..Sources::default() };
        let first = Settings::load(&sources).unwrap();
        std::fs::write(&file, first.to_toml()).unwrap();
        let second = Settings::load(&sources).unwrap();
        assert_eq!(first.to_json()["settings"]["triggers.actions"][0]["value"], serde_json::Value::Null);
        let values = |settings: &Settings| {
            let mut json = settings.to_json();
            for entry in json["settings"].as_object_mut().unwrap().values_mut() {
                entry["origin"] = serde_json::Value::Null;
            }
            json
        };
        assert_eq!(values(&first), values(&second), "{}", first.to_toml());
        assert_eq!(values(&first)["settings"]["triggers.actions"]["value"][0]["before"], "1h");
    }

    #[test]
    fn the_reference_is_a_configuration_that_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(&file, reference()).unwrap();
        let settings = Settings::load(&Sources { file: Some(file.clone()), ..Sources::default() }).unwrap();
        assert_eq!(settings, Settings::load(&Sources::default()).unwrap());
        // And each commented default is what it says.
        let live: String = reference()
            .lines()
            .filter(|line| !line.contains("[["))
            .map(uncomment)
            .collect::<Vec<_>>()
            .join("\n");
        let before_tables = live.split("\nsource = ").next().unwrap().to_owned();
        std::fs::write(&file, before_tables).unwrap();
        let sources = Sources { file: Some(file), ..Sources::default() };
        let uncommented = Settings::load(&sources).unwrap();
        assert_eq!(uncommented.changed(&settings).collect::<Vec<_>>(), Vec::<&str>::new());
        assert!(uncommented.get("record.data_ring").unwrap().1.to_string().contains("config.toml"));
    }

    /// A line of the reference with its setting in force.
    fn uncomment(line: &str) -> String {
        match line.strip_prefix("# ") {
            Some(setting) if setting.contains(" = ") => setting.to_owned(),
            _ => line.to_owned(),
        }
    }
}
