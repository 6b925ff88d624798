use super::*;
use afterimage_format::{BootNanos, EventCode, EventFlags, TaskKey};

fn redactor(own: &[&str]) -> Redactor {
    let names = ["password", "passwd", "secret", "token", "api_key"].map(str::to_owned);
    let own: Vec<String> = own.iter().map(|own| (*own).to_owned()).collect();
    Redactor::with_key(&names, &own, [7; 32]).unwrap()
}

/// With every masked byte as a star.
fn starred(redactor: &mut Redactor, text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for range in redactor.ranges(&bytes) {
        bytes[range].fill(b'*');
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn secrets_are_found_where_they_stand_and_nothing_else_is() {
    let mut redactor = redactor(&["ACME-[0-9]+", "pin is (?P<secret>[0-9]+)"]);
    let table = [
        ("HOME=/root\0DB_PASSWORD=hunter2\0TERM=xterm\0", "HOME=/root\0DB_PASSWORD=*******\0TERM=xterm\0"),
        ("client\0--password\0hunter2\0-v\0", "client\0--password\0*******\0-v\0"),
        ("client\0--password=hunter2\0-v\0", "client\0--password=*******\0-v\0"),
        ("client\0--token\0-v\0", "client\0--token\0-v\0"),
        (
            r#"{"user": "ana", "password": "two words", "n": 1}"#,
            r#"{"user": "ana", "password": "*********", "n": 1}"#,
        ),
        ("GET /?api_key=4711&page=2", "GET /?api_key=****&page=2"),
        ("Authorization: Bearer abc.def\r\nHost: x\r\n", "Authorization: Bearer *******\r\nHost: x\r\n"),
        (r"printf 'x\r\nAuthorization: Basic YTpi'", r"printf 'x\r\nAuthorization: Basic ****'"),
        ("Cookie: a=b; c=d\r\nHost: x\r\n", "Cookie: ********\r\nHost: x\r\n"),
        ("postgres://app:pw@db:5432/x", "postgres://app:**@db:5432/x"),
        ("key AKIAABCDEFGHIJKLMNOP.", "key ********************."),
        ("x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln y", "x ***************************************** y"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n", "-----BEGIN RSA PRIVATE KEY-----*****"),
        ("an ACME-4711, the pin is 99", "an *********, the pin is **"),
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libc.so.6"),
        ("the password was changed", "the password was changed"),
    ];
    for (text, wanted) in table {
        assert_eq!(starred(&mut redactor, text), wanted, "{text:?}");
    }
}

#[test]
fn equal_secrets_have_equal_tokens_of_their_length_under_one_key() {
    let mut redactor = redactor(&[]);
    let mut mask = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        assert!(redactor.mask(&mut bytes));
        assert_eq!(bytes.len(), text.len());
        String::from_utf8(bytes).unwrap()
    };
    let first = mask("password=correct horse");
    assert_eq!(first, "password=******* horse", "too short for a token");
    let first = mask("password=a-long-secret-4711");
    let again = mask("TOKEN: a-long-secret-4711");
    let other = mask("TOKEN: a-long-secret-4712");
    let token = first.strip_prefix("password=").unwrap();
    assert!(token.starts_with("<r:") && token.ends_with(">******"), "{token}");
    assert_eq!(again.strip_prefix("TOKEN: "), Some(token));
    assert_ne!(other.strip_prefix("TOKEN: "), Some(token));
    let mut bytes = b"password=a-long-secret-4711".to_vec();
    Redactor::with_key(&["password".to_owned()], &[], [8; 32]).unwrap().mask(&mut bytes);
    assert_ne!(bytes, first.as_bytes(), "another key");
}

#[test]
fn a_secret_over_two_vectors_is_masked_in_both_and_addresses_are_left_alone() {
    let field = |tag, bytes| Field { tag, flags: FieldFlags::TRUNCATED, full_len: 90, bytes };
    let fields = [
        field(FieldTag::PAYLOAD, &b"token=abc"[..]),
        field(FieldTag::SOCKADDR, b"token=abc"),
        field(FieldTag::PAYLOAD, b"def rest"),
        field(FieldTag::ARGV, b"x\0"),
    ];
    let event = Event {
        time: BootNanos(1),
        duration: None,
        task: TaskKey { tid: 1, tgid: 1, start: BootNanos(1) },
        code: EventCode(20),
        flags: EventFlags::default(),
        cpu: 0,
        ret: 17,
        args: &[],
        fields: &fields,
    };
    let mut redactor = redactor(&[]);
    let masked = redactor.event(&event).unwrap();
    let after = masked.fields(&event);
    assert_eq!(
        after.iter().map(|f| f.bytes).collect::<Vec<_>>(),
        [&b"token=***"[..], b"token=abc", b"*** rest", b"x\0"]
    );
    let both = FieldFlags::TRUNCATED.with(FieldFlags::REDACTED);
    assert_eq!(after.iter().map(|f| f.flags == both).collect::<Vec<_>>(), [true, false, true, false]);
    assert_eq!(redactor.masked, 1);
    assert!(redactor.event(&Event { fields: &fields[3..], ..event }).is_none());
}

#[test]
fn a_pattern_that_is_none_is_named() {
    let error =
        Redactor::new(&Redaction { patterns: vec!["(".to_owned()], ..Redaction::default() }).err().unwrap();
    assert!(error.to_string().starts_with("`(`: "), "{error}");
}
