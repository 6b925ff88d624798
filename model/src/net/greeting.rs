//! Names that a client says when it begins: the server name of TLS, the host of HTTP.

/// The server name (SNI, RFC 6066) in a TLS ClientHello; `None` where there is none in the bytes that were kept.
pub fn server_name(bytes: &[u8]) -> Option<&[u8]> {
    const HANDSHAKE: u8 = 22;
    const CLIENT_HELLO: u8 = 1;
    let [HANDSHAKE, 3, _, _, _, CLIENT_HELLO, _, _, _] = *bytes.first_chunk::<9>()? else { return None };
    // Version and random.
    let rest = bytes.get(9 + 2 + 32..)?;
    let rest = skip(rest, 1)?;
    let ciphers_skipped = skip(rest, 2)?;
    let rest = skip(ciphers_skipped, 1)?;
    let mut extensions = rest.get(2..)?;
    loop {
        let (kind, after) = extensions.split_first_chunk::<2>()?;
        let (len, after) = after.split_first_chunk::<2>()?;
        let len = usize::from(u16::from_be_bytes(*len));
        if *kind == [0, 0] {
            // A list's length, the name's type (0: host name), its length.
            let name = after.get(..len.min(after.len()))?.get(3..)?;
            let (len, name) = name.split_first_chunk::<2>()?;
            let name = name.get(..usize::from(u16::from_be_bytes(*len)))?;
            return is_name(name).then_some(name);
        }
        extensions = after.get(len..)?;
    }
}

/// Skips a value with its length in `width` bytes before it.
fn skip(bytes: &[u8], width: usize) -> Option<&[u8]> {
    let len = bytes.get(..width)?.iter().fold(0_usize, |len, &b| len << 8 | usize::from(b));
    bytes.get(width.checked_add(len)?..)
}

/// The `Host` of an HTTP/1 request, without its port.
pub(super) fn http_host(bytes: &[u8]) -> Option<&[u8]> {
    const METHODS: [&[u8]; 8] =
        [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT "];
    if !METHODS.iter().any(|m| bytes.starts_with(m)) {
        return None;
    }
    let mut lines = bytes.split(|&b| b == b'\n').skip(1).take_while(|line| !matches!(*line, b"" | b"\r"));
    let line = lines.find(|line| line.get(..5).is_some_and(|head| head.eq_ignore_ascii_case(b"host:")))?;
    let host = line.get(5..)?.trim_ascii();
    let colon = host.iter().rposition(|&b| b == b':').filter(|at| host.get(at + 1..).is_some_and(is_digits));
    let host = colon.and_then(|at| host.get(..at)).unwrap_or(host);
    is_name(host).then_some(host)
}

fn is_digits(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit)
}

/// A name that a host could have; anything else is not taken for one.
fn is_name(bytes: &[u8]) -> bool {
    (1..=255).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-._:[]*".contains(b))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::net) fn client_hello(name: &str) -> Vec<u8> {
        let mut sni = vec![0, 0];
        sni.extend_from_slice(&(name.len() as u16 + 5).to_be_bytes());
        sni.extend_from_slice(&(name.len() as u16 + 3).to_be_bytes());
        sni.push(0);
        sni.extend_from_slice(&(name.len() as u16).to_be_bytes());
        sni.extend_from_slice(name.as_bytes());
        let mut body = vec![3, 3];
        body.extend_from_slice(&[0; 32]);
        body.push(0);
        body.extend_from_slice(&[0, 2, 0x13, 1, 1, 0]);
        let other = [0, 0x17, 0, 1, 9];
        body.extend_from_slice(&((other.len() + sni.len()) as u16).to_be_bytes());
        body.extend_from_slice(&other);
        body.extend_from_slice(&sni);
        let mut out = vec![22, 3, 1];
        out.extend_from_slice(&(body.len() as u16 + 4).to_be_bytes());
        out.push(1);
        out.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
        out.extend_from_slice(&body);
        out
    }

    #[test]
    fn names_are_found_in_greetings() {
        let hello = client_hello("api.example.com");
        assert_eq!(server_name(&hello), Some(&b"api.example.com"[..]));
        for cut in 0..hello.len() {
            assert_eq!(server_name(&hello[..cut]), None, "cut at {cut}");
        }
        assert_eq!(server_name(&client_hello("a\x1b[2J")), None);
        let request =
            |host: &str| format!("GET / HTTP/1.1\r\nUser-Agent: x\r\nhOsT: {host}\r\n\r\nHost: body");
        assert_eq!(http_host(request("example.com:8080").as_bytes()), Some(&b"example.com"[..]));
        assert_eq!(http_host(request("[::1]").as_bytes()), Some(&b"[::1]"[..]));
        assert_eq!(http_host(request("a b").as_bytes()), None);
        assert_eq!(http_host(b"GET / HTTP/1.0\r\n\r\nHost: body"), None);
        assert_eq!(http_host(b"hello"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_greeting_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (server_name(&bytes), http_host(&bytes));
            let mut plausible = client_hello("x");
            plausible.truncate(60);
            plausible.extend_from_slice(&bytes);
            let _ = server_name(&plausible);
        }
    }
}
