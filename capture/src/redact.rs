//! Secrets are masked before anything is written, shown or handed to rules.
//!
//! Each byte of a secret is replaced in its place, so that lengths and offsets stay true: `<r:7f3a9c12>` and stars up to the
//! secret's end, only stars where it is short. The digits are a keyed hash: equal secrets have equal digits as long as a
//! recorder runs, and nobody without its key, which is never written, can try candidates against them.

mod patterns;

use afterimage_format::{Event, Fact, Field, FieldFlags, FieldTag};
use hmac::{Hmac, KeyInit as _, Mac as _};
use regex::bytes::{Regex, RegexSet};
use sha2::Sha256;

/// What is masked, as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redaction {
    /// Values of what has one of these in its name are.
    pub names: Vec<String>,
    /// What these regular expressions match is.
    pub patterns: Vec<String>,
}

/// What masks.
pub struct Redactor {
    /// Which patterns are in a text at all.
    any: RegexSet,
    patterns: Vec<Regex>,
    key: [u8; 32],
    /// Secrets masked.
    pub masked: u64,
}

/// A pattern cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// One from the configuration, or all together are too large.
    #[error("`{pattern}`: {source}")]
    Pattern {
        /// As it was given; of the names, all of them.
        pattern: String,
        /// What is wrong.
        source: Box<regex::Error>,
    },
    /// No key.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
}

/// Where part of an event is masked.
type Range = std::ops::Range<usize>;

impl Redactor {
    /// Masks the values of what is named as one of the names (a part of the name, in any case), the well-known shapes of
    /// secrets, and what the patterns match: their group `secret`, or all that matches where they have none.
    ///
    /// # Errors
    /// [`RedactError`].
    pub fn new(Redaction { names, patterns }: &Redaction) -> Result<Self, RedactError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(RedactError::Random)?;
        Self::with_key(names, patterns, key)
    }

    fn with_key(names: &[String], own: &[String], key: [u8; 32]) -> Result<Self, RedactError> {
        let all: Vec<String> = patterns::known(names).into_iter().chain(own.iter().cloned()).collect();
        let fail = |pattern: &str| {
            let pattern = pattern.to_owned();
            |source| RedactError::Pattern { pattern, source: Box::new(source) }
        };
        let compiled = all.iter().map(|p| Regex::new(p).map_err(fail(p))).collect::<Result<_, _>>()?;
        let any = RegexSet::new(&all).map_err(fail("all patterns together"))?;
        Ok(Self { any, patterns: compiled, key, masked: 0 })
    }

    /// Masks what is secret in `bytes`; whether there was something.
    fn mask(&mut self, bytes: &mut [u8]) -> bool {
        let found = self.ranges(bytes);
        for range in &found {
            let token = self.token(&bytes[range.clone()]);
            bytes[range.clone()].copy_from_slice(&token);
        }
        self.masked += found.len() as u64;
        !found.is_empty()
    }

    /// Secrets in `bytes`, in order, none touching another.
    fn ranges(&self, bytes: &[u8]) -> Vec<Range> {
        let mut found: Vec<Range> = Vec::new();
        for index in self.any.matches(bytes) {
            for captures in self.patterns[index].captures_iter(bytes) {
                if let Some(secret) = captures.name("secret").or_else(|| captures.get(0)) {
                    found.push(secret.range());
                }
            }
        }
        found.retain(|range| !range.is_empty());
        found.sort_by_key(|range| range.start);
        found.dedup_by(|next, last| {
            let touches = next.start < last.end;
            if touches {
                last.end = last.end.max(next.end);
            }
            touches
        });
        found
    }

    /// What stands for a secret: as long as it is.
    fn token(&self, secret: &[u8]) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("any length is a key");
        mac.update(secret);
        let hash = mac.finalize().into_bytes();
        let digits = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        let mut token = format!("<r:{digits:08x}>").into_bytes();
        if token.len() > secret.len() {
            token.clear();
        }
        token.resize(secret.len(), b'*');
        token
    }

    /// An event without its secrets; `None` where it has none.
    pub fn event(&mut self, event: &Event<'_>) -> Option<Redacted> {
        let mut masked = Redacted { fields: Vec::new() };
        // What several vectors hold is one text: a secret may begin in one and end in another.
        let payload: Vec<usize> =
            (0..event.fields.len()).filter(|&at| event.fields[at].tag == FieldTag::PAYLOAD).collect();
        if let [_, _, ..] = payload[..] {
            let mut joined: Vec<u8> =
                payload.iter().flat_map(|&at| event.fields[at].bytes).copied().collect();
            if self.mask(&mut joined) {
                let mut rest = &joined[..];
                for at in payload {
                    let (own, after) = rest.split_at(event.fields[at].bytes.len());
                    rest = after;
                    if own != event.fields[at].bytes {
                        masked.fields.push((at, own.to_vec()));
                    }
                }
            }
        } else if let [at] = payload[..] {
            self.field(at, &event.fields[at], &mut masked);
        }
        for (at, field) in event.fields.iter().enumerate() {
            if is_text(field.tag) && field.tag != FieldTag::PAYLOAD {
                self.field(at, field, &mut masked);
            }
        }
        (!masked.fields.is_empty()).then_some(masked)
    }

    fn field(&mut self, at: usize, field: &Field<'_>, masked: &mut Redacted) {
        if !self.any.is_match(field.bytes) {
            return;
        }
        let mut bytes = field.bytes.to_vec();
        if self.mask(&mut bytes) {
            masked.fields.push((at, bytes));
        }
    }

    /// Masks a fact about a container: annotations read `NAME=value`, as a program's environment.
    pub fn fact(&mut self, fact: &mut Fact) {
        self.mask(&mut fact.value);
    }
}

/// Whether a field has words that programs, users or files chose.
fn is_text(tag: FieldTag) -> bool {
    !matches!(
        tag,
        FieldTag::SOCKADDR
            | FieldTag::LOCAL
            | FieldTag::PEER
            | FieldTag::FDS
            | FieldTag::HASH
            | FieldTag::CONTENT
            | FieldTag::CGROUP
    )
}

/// The fields of an event that had secrets, masked.
pub struct Redacted {
    /// Place and bytes.
    fields: Vec<(usize, Vec<u8>)>,
}

impl Redacted {
    /// All fields of the event, those that were masked marked so.
    pub fn fields<'a>(&'a self, event: &Event<'a>) -> Vec<Field<'a>> {
        let mut fields = event.fields.to_vec();
        for (at, bytes) in &self.fields {
            fields[*at].bytes = bytes;
            fields[*at].flags = fields[*at].flags.with(FieldFlags::REDACTED);
        }
        fields
    }
}

#[cfg(test)]
mod tests;
