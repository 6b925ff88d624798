//! DNS messages (RFC 1035), as far as names and addresses go.
//!
//! The bytes are hostile: every length is checked, compression can only point backwards, and a message has at most
//! as many records as are worth looking at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Records looked at.
const MOST_RECORDS: usize = 64;
/// Longest name with its dots.
const LONGEST_NAME: usize = 255;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsMessage {
    /// The question's number.
    pub id: u16,
    /// It is an answer.
    pub is_response: bool,
    /// The answer's code.
    pub code: u8,
    /// The first question's name, dots between labels.
    pub question: Option<Vec<u8>>,
    /// The first question's kind.
    pub kind: u16,
    /// Answers, as many as were read.
    pub answers: Vec<DnsRecord>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsRecord {
    /// Whose.
    pub name: Vec<u8>,
    /// What.
    pub data: DnsAnswer,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsAnswer {
    /// A or AAAA.
    Address(IpAddr),
    /// CNAME, PTR or NS.
    Name(Vec<u8>),
    /// Another kind.
    Other,
}

impl DnsMessage {
    /// Reads a message; `None` where it is none. Records after one that is cut or malformed are not read.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk::<2>()?));
        let flags = word(2)?;
        let (questions, answers) = (word(4)?, word(6)?);
        let opcode = flags >> 11 & 0xf;
        if opcode != 0 || questions == 0 || questions > 4 {
            return None;
        }
        let mut message = Self {
            id: word(0)?,
            is_response: flags & 0x8000 != 0,
            code: (flags & 0xf) as u8,
            question: None,
            kind: 0,
            answers: Vec::new(),
        };
        let mut at = 12;
        for number in 0..questions {
            let (name, after) = name(bytes, at)?;
            if number == 0 {
                message.question = Some(name);
                message.kind = word(after)?;
            }
            at = after.checked_add(4)?;
        }
        for _ in 0..usize::from(answers).min(MOST_RECORDS) {
            let Some((record, after)) = record(bytes, at) else { break };
            message.answers.push(record);
            at = after;
        }
        Some(message)
    }
}

fn record(bytes: &[u8], at: usize) -> Option<(DnsRecord, usize)> {
    const A: u16 = 1;
    const NS: u16 = 2;
    const CNAME: u16 = 5;
    const PTR: u16 = 12;
    const AAAA: u16 = 28;
    let (owner, at) = name(bytes, at)?;
    let head = bytes.get(at..)?.first_chunk::<10>()?;
    let kind = u16::from_be_bytes([head[0], head[1]]);
    let len = usize::from(u16::from_be_bytes([head[8], head[9]]));
    let start = at.checked_add(10)?;
    let end = start.checked_add(len)?;
    let data = bytes.get(start..end)?;
    let data = match kind {
        A => DnsAnswer::Address(Ipv4Addr::from(*<&[u8; 4]>::try_from(data).ok()?).into()),
        AAAA => DnsAnswer::Address(Ipv6Addr::from(*<&[u8; 16]>::try_from(data).ok()?).into()),
        NS | CNAME | PTR => DnsAnswer::Name(name(bytes, start)?.0),
        _ => DnsAnswer::Other,
    };
    Some((DnsRecord { name: owner, data }, end))
}

/// A name at `at` and where what follows it begins.
fn name(bytes: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
    let mut out = Vec::new();
    let mut here = at;
    let mut after = None;
    loop {
        let len = *bytes.get(here)?;
        match len {
            0 => return Some((out, after.unwrap_or(here + 1))),
            1..=63 => {
                let start = here + 1;
                let end = start + usize::from(len);
                if !out.is_empty() {
                    out.push(b'.');
                }
                out.extend_from_slice(bytes.get(start..end)?);
                if out.len() > LONGEST_NAME {
                    return None;
                }
                here = end;
            }
            0xc0.. => {
                let target = usize::from(u16::from_be_bytes([len & 0x3f, *bytes.get(here + 1)?]));
                after = after.or(Some(here + 2));
                // Only backwards: no loops.
                if target >= here {
                    return None;
                }
                here = target;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::net) fn message(id: u16, name: &str, answers: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = id.to_be_bytes().to_vec();
        out.extend_from_slice(if answers.is_empty() { &[1, 0] } else { &[0x81, 0x80] });
        out.extend_from_slice(&[0, 1, 0, answers.len() as u8, 0, 0, 0, 0]);
        for label in name.split('.') {
            out.push(label.len() as u8);
            out.extend_from_slice(label.as_bytes());
        }
        out.extend_from_slice(&[0, 0, 1, 0, 1]);
        for (kind, data) in answers {
            out.extend_from_slice(&[0xc0, 12]);
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
            out.extend_from_slice(&(data.len() as u16).to_be_bytes());
            out.extend_from_slice(data);
        }
        out
    }

    #[test]
    fn questions_and_answers_are_read() {
        let question = DnsMessage::parse(&message(7, "api.example.com", &[])).unwrap();
        assert_eq!((question.id, question.is_response, question.kind), (7, false, 1));
        assert_eq!(question.question.as_deref(), Some(&b"api.example.com"[..]));
        let answer =
            DnsMessage::parse(&message(7, "a.b", &[(1, &[10, 0, 0, 1]), (5, b"\x01c\xc0\x0e"), (16, b"x")]));
        let answer = answer.unwrap();
        assert!(answer.is_response);
        let data: Vec<_> = answer.answers.iter().map(|r| r.data.clone()).collect();
        assert_eq!(
            data,
            [
                DnsAnswer::Address(Ipv4Addr::new(10, 0, 0, 1).into()),
                DnsAnswer::Name(b"c.b".to_vec()),
                DnsAnswer::Other,
            ]
        );
        assert_eq!(answer.answers[0].name, b"a.b");
    }

    #[test]
    fn cut_and_looping_messages_end() {
        let whole = message(7, "a.b", &[(1, &[10, 0, 0, 1]), (1, &[10, 0, 0, 2])]);
        let cut = DnsMessage::parse(&whole[..whole.len() - 1]).unwrap();
        assert_eq!(cut.answers.len(), 1, "what was whole is kept");
        let mut looping = message(7, "a", &[]);
        looping[12] = 0xc0;
        looping[13] = 12;
        assert_eq!(DnsMessage::parse(&looping), None);
        assert_eq!(DnsMessage::parse(b"GET / HTTP/1.1\r\n"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = DnsMessage::parse(&bytes);
            let mut plausible = message(1, "x.y", &[]);
            plausible[7] = 9;
            plausible.extend_from_slice(&bytes);
            let _ = DnsMessage::parse(&plausible);
        }
    }
}
