//! What a value must have for a comparison to pass: for skipping blocks in which no value can have it.

use std::net::IpAddr;

use super::{Comparison, Test, TextTest};
use crate::{needle::Needle, value::Value};

/// One of the alternatives has to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Required {
    /// A text with one of these in it, ASCII case ignored.
    Texts(Vec<Vec<u8>>),
    /// One of these addresses.
    Addresses(Vec<IpAddr>),
    /// One of these numbers.
    Numbers(Vec<i128>),
}

/// More alternatives than these are not looked for.
const MOST: usize = 256;
/// What fields have where nothing is known.
const DEFAULTS: [&[u8]; 2] = [b"", b"<NA>"];

impl Comparison {
    /// What must be there; `None` where that cannot be said, or where the value of a field about which nothing is
    /// known passes.
    pub(crate) fn required(&self) -> Option<Required> {
        if DEFAULTS.iter().any(|text| self.test.passes(&Value::text(text))) {
            return None;
        }
        let required = self.test.required()?;
        let count = match &required {
            Required::Texts(texts) => texts.len(),
            Required::Addresses(addresses) => addresses.len(),
            Required::Numbers(numbers) => numbers.len(),
        };
        (count <= MOST).then_some(required)
    }
}

impl Test {
    fn required(&self) -> Option<Required> {
        match self {
            Self::Text(test) => test.required().map(Required::Texts),
            Self::Networks(networks) => {
                networks.iter().map(|network| network.only()).collect::<Option<_>>().map(Required::Addresses)
            }
            Self::Number(op, number) => matches!(op, super::Op::Eq | super::Op::In | super::Op::Intersects)
                .then(|| Required::Numbers(vec![*number])),
            Self::Numbers(ranges) => {
                let one = |(low, high): &(i128, i128)| (low == high).then_some(*low);
                ranges.iter().map(one).collect::<Option<_>>().map(Required::Numbers)
            }
            Self::Modified(_, tests) => {
                let mut all = Vec::new();
                for test in tests {
                    match test.required()? {
                        Required::Texts(texts) => all.extend(texts),
                        _ => return None,
                    }
                }
                Some(Required::Texts(all))
            }
            Self::Bool(_) | Self::Not(_) => None,
        }
    }
}

impl TextTest {
    fn required(&self) -> Option<Vec<Vec<u8>>> {
        Some(match self {
            Self::Equal(bytes) | Self::Starts(bytes) | Self::Ends(bytes) => vec![bytes.clone()],
            Self::Contains(Needle::Exact(finder)) => vec![finder.needle().to_vec()],
            Self::Contains(Needle::Folded(bytes)) => vec![bytes.clone()],
            Self::Set(values) => values.clone(),
            Self::Glob(glob) => vec![glob.longest().to_vec()],
            Self::Order(..) | Self::Regex(_) | Self::Paths(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{Filter, program::Node};

    use super::*;

    fn required(filter: &str) -> Option<Required> {
        match &Filter::parse(filter).unwrap().node {
            Node::Check(check) => check.comparison.required(),
            Node::Not(_) => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn alternatives_are_what_must_be_there() {
        let texts =
            |texts: &[&str]| Some(Required::Texts(texts.iter().map(|t| t.as_bytes().to_vec()).collect()));
        assert_eq!(required("fd.name contains id_rsa"), texts(&["id_rsa"]));
        assert_eq!(required("fd.name endswith .sock"), texts(&[".sock"]));
        assert_eq!(required("proc.name in (nginx, sshd)"), texts(&["sshd", "nginx"]));
        assert_eq!(required("fd.name glob \"/tmp/*abcdef?x\""), texts(&["abcdef"]));
        assert_eq!(required("fd.rip=10.1.2.3"), Some(Required::Addresses(vec!["10.1.2.3".parse().unwrap()])));
        assert_eq!(required("fd.rport in (22, 80)"), Some(Required::Numbers(vec![22, 80])));
    }

    #[test]
    fn what_nothing_can_also_pass_requires_nothing() {
        for filter in [
            "fd.name contains \"\"",
            "proc.name=\"<NA>\"",
            "proc.name in (\"<NA>\", nginx)",
            "proc.name!=nginx",
            "fd.net=10.0.0.0/8",
            "fd.rport in (1..1023)",
            "proc.name regex a.c",
            "fd.name glob *",
        ] {
            assert!(
                required(filter)
                    .is_none_or(|r| matches!(r, Required::Texts(t) if t.iter().all(Vec::is_empty))),
                "{filter}"
            );
        }
    }
}
