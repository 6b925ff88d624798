//! What one look at a container's metadata brought, under limits: nobody can make the recorder keep much by saying
//! much.

use afterimage_format::{BootNanos, Engine, Fact, FactKey, FactSource, Role};

/// Longest value kept; a longer one is left out, since the beginning of a name is another name.
const LONGEST: usize = 1024;
/// Most facts of one key.
const MOST_OF_A_KEY: usize = 64;

/// Facts, and what else was found out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// In order of finding.
    pub facts: Vec<Fact>,
    /// Who made the container.
    pub engine: Option<Engine>,
    /// Its part in the engine's scheme.
    pub role: Option<Role>,
    /// When it was looked.
    pub time: BootNanos,
}

impl Findings {
    /// None yet.
    pub fn new(time: BootNanos) -> Self {
        Self { time, ..Self::default() }
    }

    /// Adds a fact, unless it is empty, too long, or one too many of its kind.
    pub fn add(&mut self, key: FactKey, value: &[u8], source: FactSource) {
        let alike = self.facts.iter().filter(|fact| fact.key == key).count();
        if value.is_empty() || value.len() > LONGEST || alike >= MOST_OF_A_KEY {
            return;
        }
        if self.facts.iter().any(|fact| fact.key == key && fact.value == value) {
            return;
        }
        self.facts.push(Fact { key, value: value.to_vec(), source, time: self.time });
    }

    /// The same of text that may be missing.
    pub fn add_text(&mut self, key: FactKey, value: Option<&str>, source: FactSource) {
        if let Some(value) = value {
            self.add(key, value.as_bytes(), source);
        }
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty() && self.engine.is_none() && self.role.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_too_often_or_at_too_great_length_is_left_out() {
        let mut findings = Findings::new(BootNanos(5));
        for number in 0..100 {
            findings.add(FactKey::Label, format!("a={number}").as_bytes(), FactSource::DockerConfig);
        }
        findings.add(FactKey::Name, &[b'a'; 1025], FactSource::DockerConfig);
        findings.add(FactKey::Name, b"", FactSource::DockerConfig);
        findings.add(FactKey::Image, b"x", FactSource::DockerConfig);
        findings.add(FactKey::Image, b"x", FactSource::OciBundle);
        assert_eq!(findings.facts.len(), 64 + 1);
        assert_eq!(findings.facts[64].time, BootNanos(5));
    }
}
