//! DNS messages (RFC 1035), as far as names and addresses go: questions, answers, and which name an answer gives to
//! which address.
//!
//! The bytes are hostile: every length is checked, compression can only point backwards, and a message has at most
//! as many records as are worth looking at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Records looked at.
const MOST_RECORDS: usize = 256;
/// Longest name with its dots.
const LONGEST_NAME: usize = 255;

/// The name of a record's kind.
pub fn kind_name(kind: u16) -> Option<&'static str> {
    const NAMES: [(u16, &str); 11] = [
        (1, "A"),
        (2, "NS"),
        (5, "CNAME"),
        (6, "SOA"),
        (12, "PTR"),
        (15, "MX"),
        (16, "TXT"),
        (28, "AAAA"),
        (33, "SRV"),
        (65, "HTTPS"),
        (255, "ANY"),
    ];
    NAMES.iter().find(|(number, _)| *number == kind).map(|(_, name)| *name)
}

/// The name of an answer's code, as IANA lists them.
pub fn code_name(code: u8) -> Option<&'static str> {
    const NAMES: [&str; 12] = [
        "NOERROR",
        "FORMERR",
        "SERVFAIL",
        "NXDOMAIN",
        "NOTIMP",
        "REFUSED",
        "YXDOMAIN",
        "YXRRSET",
        "NXRRSET",
        "NOTAUTH",
        "NOTZONE",
        "DSOTYPENI",
    ];
    NAMES.get(usize::from(code)).copied()
}

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
    /// CNAME: another name.
    Alias(Vec<u8>),
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

/// Every name and the address that a response gives it: the names of the records and, through aliases, the name
/// that was asked for. Names are as sent, without the last dot; empty for what is no response.
pub fn answers(message: &[u8]) -> Vec<(Vec<u8>, IpAddr)> {
    let mut out = Vec::new();
    let Some(message) = DnsMessage::parse(message).filter(|m| m.is_response) else { return out };
    let mut aliases: Vec<(&[u8], &[u8])> = Vec::new();
    for record in &message.answers {
        match &record.data {
            DnsAnswer::Alias(next) => aliases.push((&record.name, next)),
            DnsAnswer::Address(ip) => {
                let asked = message.question.as_ref().filter(|asked| **asked != record.name);
                if let Some(asked) = asked.filter(|asked| resolves(asked, &record.name, &aliases)) {
                    out.push((asked.clone(), *ip));
                }
                out.push((record.name.clone(), *ip));
            }
            DnsAnswer::Other => {}
        }
    }
    out
}

/// The same of a message on a stream, which has its length before it.
pub fn answers_of_stream(bytes: &[u8]) -> Vec<(Vec<u8>, IpAddr)> {
    match bytes.split_first_chunk::<2>() {
        Some((length, message)) => {
            answers(message.get(..u16::from_be_bytes(*length).into()).unwrap_or(message))
        }
        None => Vec::new(),
    }
}

/// Whether following aliases from one name comes to another.
fn resolves(from: &[u8], to: &[u8], aliases: &[(&[u8], &[u8])]) -> bool {
    let mut at = from;
    for _ in 0..=aliases.len() {
        if at.eq_ignore_ascii_case(to) {
            return true;
        }
        match aliases.iter().find(|(owner, _)| owner.eq_ignore_ascii_case(at)) {
            Some((_, next)) => at = next,
            None => return false,
        }
    }
    false
}

fn record(bytes: &[u8], at: usize) -> Option<(DnsRecord, usize)> {
    const A: u16 = 1;
    const CNAME: u16 = 5;
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
        CNAME => DnsAnswer::Alias(name(bytes, start)?.0),
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
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn message(id: u16, name: &str, answers: &[(u16, &[u8])]) -> Vec<u8> {
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
                DnsAnswer::Alias(b"c.b".to_vec()),
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

    /// A response to `www.example.org`: an alias to `web.example.org` and its address.
    fn response() -> Vec<u8> {
        let mut m = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0];
        m.extend_from_slice(b"\x03www\x07example\x03org\0\0\x01\0\x01");
        m.extend_from_slice(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x06\x03web\xc0\x10");
        m.extend_from_slice(b"\x03web\xc0\x10\0\x01\0\x01\0\0\0\x3c\0\x04\x5d\xb8\xd8\x22");
        m
    }

    #[test]
    fn addresses_belong_to_the_record_and_to_the_name_asked_for() {
        let address: IpAddr = "93.184.216.34".parse().unwrap();
        let expected = vec![(b"www.example.org".to_vec(), address), (b"web.example.org".to_vec(), address)];
        assert_eq!(answers(&response()), expected);
        let mut stream = u16::try_from(response().len()).unwrap().to_be_bytes().to_vec();
        stream.extend(response());
        assert_eq!(answers_of_stream(&stream), expected);
    }

    #[test]
    fn hostile_messages_give_nothing_and_end() {
        let mut query = response();
        query[2] = 1;
        assert_eq!(answers(&query), []);
        let mut looping = response();
        looping[12..14].copy_from_slice(&[0xc0, 0x0c]);
        assert_eq!(answers(&looping), []);
        for cut in 0..response().len() {
            assert!(answers(&response()[..cut]).len() <= 2);
        }
        for at in 0..response().len() {
            let mut flipped = response();
            flipped[at] ^= 0xff;
            let _ = answers(&flipped);
        }
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
