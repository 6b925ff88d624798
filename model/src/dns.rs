//! Names that DNS answers give to addresses.
//!
//! Messages come from the network: every length is checked, compressed names are followed a bounded number of steps,
//! and what does not parse gives what was read before it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Record types.
const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
/// Most records of one message that are read.
const MAX_RECORDS: usize = 256;
/// Most pointers followed for one name.
const MAX_JUMPS: usize = 16;
/// Longest name. Bytes.
const MAX_NAME: usize = 255;

/// Every name and the address that a response gives it: the names of the records and, through aliases, the name
/// that was asked for. Names are as sent, without the last dot; empty for what is no response.
pub fn answers(message: &[u8]) -> Vec<(Vec<u8>, IpAddr)> {
    let mut out = Vec::new();
    let _ = read(message, &mut out);
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

fn read(message: &[u8], out: &mut Vec<(Vec<u8>, IpAddr)>) -> Option<()> {
    let word = |at: usize| Some(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?));
    let is_response = word(2)? & 0x8000 != 0;
    let (questions, records) = (word(4)?, word(6)?);
    if !is_response || questions > 1 {
        return None;
    }
    let mut at = 12;
    let mut asked = None;
    if questions == 1 {
        let (name, end) = name(message, at)?;
        asked = Some(name);
        at = end + 4;
    }
    let mut aliases: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for _ in 0..usize::from(records).min(MAX_RECORDS) {
        let (owner, end) = name(message, at)?;
        let (kind, length) = (word(end)?, usize::from(word(end + 8)?));
        let data_at = end + 10;
        let data = message.get(data_at..data_at + length)?;
        let address = match (kind, data.len()) {
            (A, 4) => data.try_into().ok().map(|b: [u8; 4]| IpAddr::V4(Ipv4Addr::from(b))),
            (AAAA, 16) => data.try_into().ok().map(|b: [u8; 16]| IpAddr::V6(Ipv6Addr::from(b))),
            (CNAME, _) => {
                aliases.push((owner.clone(), name(message, data_at)?.0));
                None
            }
            _ => None,
        };
        if let Some(address) = address {
            let leads_here =
                asked.as_ref().is_some_and(|asked| *asked != owner && resolves(asked, &owner, &aliases));
            if let Some(asked) = asked.as_ref().filter(|_| leads_here) {
                out.push((asked.clone(), address));
            }
            out.push((owner, address));
        }
        at = data_at + length;
    }
    Some(())
}

/// Whether following aliases from one name comes to another.
fn resolves(from: &[u8], to: &[u8], aliases: &[(Vec<u8>, Vec<u8>)]) -> bool {
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

/// The name at a place of the message, and where what follows it begins.
fn name(message: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    let mut out: Vec<u8> = Vec::new();
    let (mut at, mut end, mut jumps) = (start, None, 0);
    loop {
        let length = *message.get(at)?;
        match length {
            0 => return Some((out, end.unwrap_or(at + 1))),
            1..=63 => {
                let label = message.get(at + 1..at + 1 + usize::from(length))?;
                if !out.is_empty() {
                    out.push(b'.');
                }
                out.extend_from_slice(label);
                if out.len() > MAX_NAME {
                    return None;
                }
                at += 1 + usize::from(length);
            }
            0xc0.. => {
                let low = *message.get(at + 1)?;
                end.get_or_insert(at + 2);
                at = usize::from(length & 0x3f) << 8 | usize::from(low);
                jumps += 1;
                if jumps > MAX_JUMPS {
                    return None;
                }
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
