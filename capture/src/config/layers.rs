//! Defaults, files, environment and flags laid over one another; each value remembers where it came from.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    error::{ConfigError, Origin, Place, Problem, ProblemKind},
    keys::{KEYS, Key},
    value::{Kind, Value},
};

/// So many letters off is a slip.
const SLIP: usize = 2;
/// Longest configuration file.
const MAX_FILE: u64 = 1 << 20;

/// Where values come from, besides the defaults. Later ones win.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The main file. Its drop-ins are the `*.toml` of the directory beside it that has its name with `.d`.
    pub file: Option<PathBuf>,
    /// Whether the main file may be missing.
    pub optional: bool,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// Flags: key, the flag's name, and the value as a variable would have it.
    pub flags: Vec<(String, String, String)>,
}

/// Every key's value with its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    values: BTreeMap<&'static str, (Value, Origin)>,
}

impl Settings {
    /// Reads everything; nothing is used when anything is wrong.
    ///
    /// # Errors
    /// [`ConfigError`] with all that is wrong.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut layers = Layers { settings: Self::defaults(), errors: Vec::new() };
        for (path, optional) in files(sources, &mut layers.errors) {
            layers.file(&path, optional);
        }
        for key in KEYS.iter().filter(|key| !matches!(key.kind, Kind::Tables(_))) {
            for name in key.variables() {
                if let Some((_, text)) = sources.environment.iter().find(|(own, _)| *own == name) {
                    layers.text(key, text, Origin::Environment(name));
                }
            }
        }
        for (name, _) in &sources.environment {
            layers.variable(name);
        }
        for (name, flag, text) in &sources.flags {
            let origin = Origin::Flag(flag.clone());
            match KEYS.iter().find(|key| key.name == name) {
                Some(key) => layers.text(key, text, origin),
                None => layers.unknown(name, KEYS, origin),
            }
        }
        let Layers { settings, errors } = layers;
        if errors.is_empty() { Ok(settings) } else { Err(ConfigError { errors }) }
    }

    fn defaults() -> Self {
        let value = |key: &Key| match key.kind {
            Kind::Tables(_) => Value::Tables(Vec::new()),
            // A test reads all of them.
            kind => kind.read(key.default).unwrap_or(Value::Bool(false)),
        };
        Self { values: KEYS.iter().map(|key| (key.name, (value(key), Origin::Default))).collect() }
    }

    /// A key's value and where it came from.
    pub fn get(&self, name: &str) -> Option<&(Value, Origin)> {
        self.values.get(name)
    }

    /// Names of keys whose values differ from `other`'s.
    pub fn changed<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'static str> + 'a {
        self.values
            .iter()
            .filter(|(name, (value, _))| other.get(name).map(|o| &o.0) != Some(value))
            .map(|(n, _)| *n)
    }
}

/// The main file and its drop-ins, in order of name.
fn files(sources: &Sources, errors: &mut Vec<Problem>) -> Vec<(PathBuf, bool)> {
    let Some(main) = &sources.file else { return Vec::new() };
    let mut found = vec![(main.clone(), sources.optional)];
    let directory = main.with_extension("d");
    match std::fs::read_dir(&directory) {
        Ok(entries) => {
            let mut drop_ins: Vec<PathBuf> = entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|ext| ext == "toml"))
                .collect();
            drop_ins.sort();
            found.extend(drop_ins.into_iter().map(|path| (path, false)));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => errors.push(unreadable(&directory, &error.to_string())),
    }
    found
}

fn unreadable(path: &Path, message: &str) -> Problem {
    let place = Place { file: path.to_owned(), line: 1, column: 1 };
    Problem { at: Origin::File(place), kind: ProblemKind::Read { message: message.to_owned() } }
}

struct Layers {
    settings: Settings,
    errors: Vec<Problem>,
}

/// A file that is being read.
struct Text<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Text<'_> {
    fn origin(&self, offset: usize) -> Origin {
        Origin::File(Place::of(self.path, self.text, offset))
    }
}

impl Layers {
    fn file(&mut self, path: &Path, optional: bool) {
        let text = match read(path) {
            Ok(text) => text,
            Err(error) if optional && error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => return self.errors.push(unreadable(path, &error.to_string())),
        };
        let file = Text { path, text: &text };
        let found = self.errors.len();
        match DeTable::parse(&text) {
            Ok(table) => self.section(&file, "", table.get_ref()),
            Err(error) => {
                let at = file.origin(error.span().map_or(0, |span| span.start));
                let message = error.message().replace('\n', ", ");
                self.errors.push(Problem { at, kind: ProblemKind::Syntax { message } });
            }
        }
        // The parser's tables are sorted by name; people read from the top.
        self.errors[found..].sort_by_key(|problem| match &problem.at {
            Origin::File(place) => (place.line, place.column),
            _ => (0, 0),
        });
    }

    fn section(&mut self, file: &Text<'_>, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let full = format!("{prefix}{}", name.get_ref());
            let at = file.origin(name.span().start);
            if let Some(key) = KEYS.iter().find(|key| key.name == full) {
                if let Some(found) = self.value(file, key, &full, value) {
                    self.settings.values.insert(key.name, (found, at));
                }
                continue;
            }
            let is_section = KEYS.iter().any(|key| key.name.starts_with(&format!("{full}.")));
            match value.get_ref() {
                DeValue::Table(inner) if is_section => self.section(file, &format!("{full}."), inner),
                other if is_section => {
                    self.wrong(&full, other.type_str(), "a table".to_owned(), at);
                }
                _ => self.unknown(&full, KEYS, at),
            }
        }
    }

    /// A value of a file; what is wrong with it is noted.
    fn value(
        &mut self,
        file: &Text<'_>,
        key: &Key,
        full: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<Value> {
        let at = file.origin(value.span().start);
        let kind = key.kind;
        let (found, read) = match (value.get_ref(), kind) {
            (DeValue::Array(items), Kind::Tables(keys)) => {
                let tables = items.iter().filter_map(|item| self.table(file, full, keys, item)).collect();
                return Some(Value::Tables(tables));
            }
            (DeValue::Array(items), Kind::List) => {
                let texts: Option<Vec<String>> =
                    items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect();
                ("a list".to_owned(), texts.map(Value::List).ok_or_else(|| "a list of texts".to_owned()))
            }
            (DeValue::Boolean(yes), Kind::Bool) => return Some(Value::Bool(*yes)),
            (DeValue::Integer(number), _) => {
                let parsed = u64::from_str_radix(&number.as_str().replace('_', ""), number.radix());
                let read = parsed.map_err(|_| kind.expected()).and_then(|n| kind.number(n));
                (format!("`{}`", number.as_str()), read)
            }
            // A text where a number or truth value belongs is most likely a slip.
            (DeValue::String(text), Kind::Bool | Kind::Number(..) | Kind::List) => {
                (format!("the text \"{text}\""), Err(kind.expected()))
            }
            (DeValue::String(text), _) => (format!("\"{text}\""), kind.read(text)),
            (other, _) => (format!("of type {}", other.type_str()), Err(kind.expected())),
        };
        match read {
            Ok(value) => Some(value),
            Err(expected) => {
                self.wrong(full, &found, expected, at);
                None
            }
        }
    }

    fn table(
        &mut self,
        file: &Text<'_>,
        full: &str,
        keys: &'static [Key],
        item: &Spanned<DeValue<'_>>,
    ) -> Option<BTreeMap<&'static str, (Value, Origin)>> {
        let DeValue::Table(table) = item.get_ref() else {
            let found = format!("of type {}", item.get_ref().type_str());
            self.wrong(full, &found, "an array of tables".to_owned(), file.origin(item.span().start));
            return None;
        };
        let mut values = BTreeMap::new();
        for (name, value) in table {
            let at = file.origin(name.span().start);
            let inner = format!("{full}.{}", name.get_ref());
            match keys.iter().find(|key| key.name == name.get_ref().as_ref()) {
                Some(key) => {
                    if let Some(found) = self.value(file, key, &inner, value) {
                        values.insert(key.name, (found, at));
                    }
                }
                None => self.unknown(name.get_ref(), keys, at),
            }
        }
        for key in keys {
            let default = key.kind.read(key.default).unwrap_or(Value::Bool(false));
            values.entry(key.name).or_insert((default, Origin::Default));
        }
        Some(values)
    }

    fn text(&mut self, key: &Key, text: &str, origin: Origin) {
        match key.kind.read_written(text) {
            Ok(value) => {
                self.settings.values.insert(key.name, (value, origin));
            }
            Err(expected) => self.wrong(key.name, &format!("\"{text}\""), expected, origin),
        }
    }

    /// A variable that looks like a key's and is none's: a slip. What Kubernetes sets for a service of such a name is not, nor
    /// what is no key's by far: other programs have variables that begin so.
    fn variable(&mut self, name: &str) {
        let Some(rest) = name.strip_prefix("AFTERIMAGE_") else { return };
        let of_a_service = rest.contains("_SERVICE_") || rest.ends_with("_PORT") || rest.contains("_PORT_");
        let settable = || KEYS.iter().filter(|key| !matches!(key.kind, Kind::Tables(_)));
        if of_a_service || settable().any(|key| key.variables().any(|own| own == name)) {
            return;
        }
        let mut sections = KEYS.iter().filter_map(|key| key.name.split_once('.')).map(|(section, _)| section);
        let section = sections.find(|section| rest.starts_with(&format!("{}_", section.to_uppercase())));
        if let Some(section) = section {
            let key = format!("{section}.{}", rest[section.len() + 1..].to_lowercase());
            return self.unknown(&key, KEYS, Origin::Environment(name.to_owned()));
        }
        let meant = |key: &&Key| key.variables().any(|own| distance(&own, name) <= SLIP);
        if let Some(key) = settable().find(meant) {
            let nearest = Some(key.name.to_owned());
            let kind = ProblemKind::Unknown { key: rest.to_lowercase(), nearest };
            self.errors.push(Problem { at: Origin::Environment(name.to_owned()), kind });
        }
    }

    fn wrong(&mut self, key: &str, found: &str, expected: String, at: Origin) {
        let kind = ProblemKind::Value { key: key.to_owned(), found: found.to_owned(), expected };
        self.errors.push(Problem { at, kind });
    }

    fn unknown(&mut self, key: &str, keys: &[Key], at: Origin) {
        let nearest = nearest(key, keys).map(str::to_owned);
        self.errors.push(Problem { at, kind: ProblemKind::Unknown { key: key.to_owned(), nearest } });
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(std::io::Error::other("larger than 1 MiB"));
    }
    Ok(text)
}

/// The key that a slip most likely meant.
fn nearest(written: &str, keys: &[Key]) -> Option<&'static str> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or("").to_owned();
    let by_place = keys.iter().find(|key| last(key.name) == last(written)).map(|key| key.name);
    let close = || {
        let best = keys.iter().map(|key| (distance(written, key.name), key.name)).min()?;
        (best.0 <= 2 + written.len() / 8).then_some(best.1)
    };
    close().or(by_place)
}

/// How many letters must be added, left out or replaced.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(main: &str, drop_ins: &[(&str, &str)], env: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(&file, main).unwrap();
        std::fs::create_dir(dir.path().join("config.d")).unwrap();
        for (name, text) in drop_ins {
            std::fs::write(dir.path().join("config.d").join(name), text).unwrap();
        }
        let own = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        Settings::load(&Sources {
            file: Some(file),
            optional: false,
            environment: env.iter().map(own).collect(),
            flags: Vec::new(),
        })
    }

    /// What is wrong, with the directory left out.
    fn wrong(main: &str) -> Vec<String> {
        let error = load(main, &[], &[]).unwrap_err();
        error.errors.iter().map(|e| e.to_string().rsplit("config.toml").next().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_default_is_a_value_of_its_kind() {
        for key in KEYS {
            match key.kind {
                Kind::Tables(inner) => {
                    for key in inner {
                        key.kind.read(key.default).unwrap_or_else(|e| panic!("{}: {e}", key.name));
                    }
                }
                kind => {
                    kind.read(key.default).unwrap_or_else(|e| panic!("{}: {e}", key.name));
                }
            }
        }
    }

    #[test]
    fn later_layers_win_and_are_named() {
        let settings = load(
            "[record]\nprofile = \"full\"\nhost = \"none\"\n[log]\nfilter = \"info\"\n",
            &[("20.toml", "record.host = \"full\"\n"), ("10.toml", "record.host = \"lifecycle\"\n")],
            &[("AFTERIMAGE_LOG", "debug"), ("AFTERIMAGE_RECORD_DATA_RING", "64MiB")],
        )
        .unwrap();
        let show = |name| {
            let (value, origin) = settings.get(name).unwrap();
            let place = origin.to_string();
            (value.clone(), place.rsplit('/').next().unwrap().to_owned())
        };
        assert_eq!(show("record.profile"), (Value::Text("full".into()), "config.toml:2:1".into()));
        assert_eq!(show("record.host"), (Value::Text("full".into()), "20.toml:1:8".into()));
        assert_eq!(show("log.filter"), (Value::Text("debug".into()), "AFTERIMAGE_LOG".into()));
        assert_eq!(show("record.data_ring").0, Value::Number(64 << 20));
        assert_eq!(show("store.path").1, "default");
    }

    #[test]
    fn slips_are_named_with_their_place() {
        assert_eq!(
            wrong("[record]\nprofle = \"full\"\n"),
            [":2:1: unknown key `record.profle`; did you mean `record.profile`?"]
        );
        assert_eq!(
            wrong("[store]\ncolour = 1\n[nonsense]\nx = 1\n"),
            [":2:1: unknown key `store.colour`", ":3:2: unknown key `nonsense`"]
        );
        assert_eq!(
            wrong("[record]\nprofile = \"all\"\ndata_ring = 5\n"),
            [
                ":2:11: `record.profile` is \"all\", not one of `minimal`, `forensic`, `full`",
                ":3:13: `record.data_ring` is `5`, not a power of two such as \"32MiB\" from \"1MiB\" to \"1GiB\"",
            ]
        );
        assert_eq!(wrong("record = 1\n"), [":1:1: `record` is integer, not a table"]);
        assert_eq!(wrong("[webhook]\nenabled = \"true\"\n").len(), 1, "a text is no truth value");
        assert!(wrong("[record\n")[0].starts_with(":1:8: not TOML: "), "{:?}", wrong("[record\n"));
        assert_eq!(
            wrong("[[triggers.actions]]\nrule = \"x\"\nbefor = \"1s\"\n"),
            [":3:1: unknown key `befor`; did you mean `before`?"]
        );
        assert_eq!(
            wrong("record = { \"ä\" = 1, \"b\" = 2 }\n"),
            [":1:12: unknown key `record.ä`", ":1:21: unknown key `record.b`"],
            "columns are characters"
        );
    }

    #[test]
    fn variables_and_flags_are_checked_like_files() {
        let error = load("", &[], &[("AFTERIMAGE_RECORD_HOST", "some")]).unwrap_err();
        assert!(
            error.to_string().starts_with("AFTERIMAGE_RECORD_HOST: `record.host` is \"some\""),
            "{error}"
        );
        let error = load("", &[], &[("AFTERIMAGE_RECORD_PROFLE", "full")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "AFTERIMAGE_RECORD_PROFLE: unknown key `record.profle`; did you mean `record.profile`?"
        );
        let error = load("", &[], &[("AFTERIMAGE_STROE_PATH", "/x")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "AFTERIMAGE_STROE_PATH: unknown key `stroe_path`; did you mean `store.path`?"
        );
        let others = [
            ("AFTERIMAGE_API_SOCKET", "/run/x"),
            ("AFTERIMAGE_STORE_PATH", "/y"),
            ("AFTERIMAGE_CONFIG", "/etc/x"),
            ("AFTERIMAGE_WEBHOOK_SERVICE_HOST", "10.0.0.1"),
            ("AFTERIMAGE_WEBHOOK_PORT_7744_TCP_ADDR", "10.0.0.1"),
            ("AFTERIMAGE_TEST_PATIENCE", "600"),
            ("AFTERIMAGE_FOO_BAR", "1"),
        ];
        assert!(load("", &[], &others).is_ok());
        let flags = vec![("record.hots".to_owned(), "--set".to_owned(), "x".to_owned())];
        let error = Settings::load(&Sources { flags, ..Sources::default() }).unwrap_err();
        assert_eq!(error.to_string(), "--set: unknown key `record.hots`; did you mean `record.host`?");
    }

    #[test]
    fn variables_and_flags_are_written_as_toml_or_bare_where_that_is_plain() {
        let set = |key: &str, text: &str| {
            let flags = vec![(key.to_owned(), "--set".to_owned(), text.to_owned())];
            let settings = Settings::load(&Sources { flags, ..Sources::default() });
            settings.map(|settings| settings.get(key).unwrap().0.clone()).map_err(|error| error.to_string())
        };
        let list = |texts: &[&str]| Ok(Value::List(texts.iter().map(|text| (*text).to_owned()).collect()));
        let patterns = |text: &str| set("redact.patterns", text);
        assert_eq!(patterns(r#"["(abc"]"#), list(&["(abc"]));
        assert_eq!(patterns(r"['a{2,3}', 'b']"), list(&["a{2,3}", "b"]));
        assert_eq!(patterns(r#""a{2,3}""#), list(&["a{2,3}"]));
        assert_eq!(patterns("tok_[0-9]+"), list(&["tok_[0-9]+"]), "one, and no list that it could be");
        assert_eq!(patterns(""), list(&[]));
        assert_eq!(set("rules.outputs", "stdout, file:/x"), list(&["stdout", "file:/x"]));
        for unclear in ["a{2,3}", "(a,b)", r#"["a""#, "[a-z]+", "[1]"] {
            let error = patterns(unclear).unwrap_err();
            assert!(error.contains("a list of texts"), "{unclear}: {error}");
        }
        for written in ["\"64MiB\"", "64MiB", "67_108_864", "67108864", "0x4000000"] {
            assert_eq!(set("store.segment_size", written), Ok(Value::Number(64 << 20)), "{written}");
        }
        assert_eq!(set("record.profile", "\"full\""), Ok(Value::Text("full".into())));
        assert_eq!(set("record.profile", "full"), Ok(Value::Text("full".into())));
        assert_eq!(set("api.enabled", "false"), Ok(Value::Bool(false)));
        assert_eq!(set("store.age", "\"2h\""), set("store.age", "2h"));
        assert_eq!(set("log.filter", "info,x=debug"), Ok(Value::Text("info,x=debug".into())));
        assert_eq!(set("api.group", "4711"), Ok(Value::Text("4711".into())));
        assert!(set("api.group", "\"soc").is_err(), "cut off");
        let tables = set("triggers.actions", "[]").unwrap_err();
        assert!(tables.contains("only a file"), "{tables}");
        // Every value as `config dump` prints it can be given back.
        for key in KEYS.iter().filter(|key| !matches!(key.kind, Kind::Tables(_))) {
            let default = key.kind.read(key.default).unwrap();
            assert_eq!(key.kind.read_written(&key.kind.write(&default)), Ok(default), "{}", key.name);
        }
    }

    #[test]
    fn a_named_file_must_be_there_and_the_usual_one_need_not() {
        let file = Some(PathBuf::from("/no/such/config.toml"));
        let sources = Sources { file, optional: true, ..Sources::default() };
        assert!(Settings::load(&sources).is_ok());
        let error = Settings::load(&Sources { optional: false, ..sources }).unwrap_err();
        assert!(error.to_string().contains("/no/such/config.toml:1:1: cannot read"), "{error}");
    }
}
