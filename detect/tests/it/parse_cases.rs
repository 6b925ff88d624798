//! What is read as what, and what is refused where.

use afterimage_detect::syntax::{Mode, parse, print};

/// (mode, text, canonical print)
const READ: &[(Mode, &str, &str)] = &[
    (Mode::Strict, "evt.num=0", "evt.num = 0"),
    (Mode::Strict, "(evt.num=0)", "evt.num = 0"),
    (Mode::Strict, "a and(b or c)and not(d)", "a and (b or c) and not d"),
    (Mode::Strict, "not not proc.name exists", "not not proc.name exists"),
    (Mode::Strict, "proc.name in(a,b)", "proc.name in (a, b)"),
    (Mode::Strict, "proc.name in ()", "proc.name in ()"),
    (Mode::Strict, "proc.name in shells", "proc.name in (shells)"),
    (Mode::Strict, "proc.name == \"runc:[0:PARENT]\"", "proc.name = \"runc:[0:PARENT]\""),
    (Mode::Strict, "proc.pname in (runc:[0:PARENT], exe)", "proc.pname in (runc:[0:PARENT], exe)"),
    (Mode::Strict, "container.mount.dest[/proc*] exists", "container.mount.dest[/proc*] exists"),
    (Mode::Strict, "proc.env[\"A B\"]=x", "proc.env[\"A B\"] = x"),
    (Mode::Strict, "proc.duration<=5000000000", "proc.duration <= 5000000000"),
    (Mode::Strict, "evt.rawres >= -1", "evt.rawres >= -1"),
    (Mode::Strict, "fd.num<0x10", "fd.num < 0x10"),
    (Mode::Strict, "fd.name contains '\\'\"\\\\'", "fd.name contains \"'\\\"\\\\\""),
    (Mode::Strict, "fd.name startswith oneof (a, b)", "fd.name startswith oneof (a, b)"),
    (Mode::Strict, "fd.name != allof prefixes", "fd.name != allof (prefixes)"),
    (Mode::Strict, "proc.name = oneof and x", "proc.name = oneof and x"),
    (Mode::Strict, "tolower(proc.name) = val(proc.pname)", "tolower(proc.name) = val(proc.pname)"),
    (Mode::Strict, "proc.name = toupper(proc.pname)", "proc.name = toupper(proc.pname)"),
    (Mode::Strict, "len( proc.args ) > 5", "len(proc.args) > 5"),
    (Mode::Strict, "join(\",\", (proc.name, 'x', 1)) = a", "join(\",\", (proc.name, \"x\", 1)) = a"),
    (Mode::Strict, "getopt((proc.args[0]), \"ab:\")[b] = x", "getopt((proc.args[0]), \"ab:\")[b] = x"),
    (Mode::Strict, "evt.buffer bcontains cafebabe", "evt.buffer bcontains cafebabe"),
    (Mode::Strict, "fd.name contains \"a\\x1b\\u{202e}\\n\"", "fd.name contains \"a\\x1b\\u{202e}\\n\""),
    (Mode::Strict, "proc.name=a!b<c", "proc.name = a!b<c"),
    (Mode::Lenient, "a b", "a and b"),
    (
        Mode::Lenient,
        "proc.name = nc && !fd.port in 1..1023 || evil.com",
        "proc.name = nc and not fd.port in (1..1023) or evil.com",
    ),
    (Mode::Lenient, "proc.name not in (a, b)", "not proc.name in (a, b)"),
    (Mode::Lenient, "proc.name ~ ^a", "proc.name ~ ^a"),
    (Mode::Lenient, "fd.net in 10.0.0.0/8", "fd.net in (10.0.0.0/8)"),
    (Mode::Lenient, "proc.duration > 5s", "proc.duration > 5s"),
    (Mode::Lenient, "\"and\" $noise", "\"and\" and $noise"),
    (
        Mode::Lenient,
        "within proc.pid = 412 and evt.type = connect",
        "within proc.pid = 412 and evt.type = connect",
    ),
    (Mode::Lenient, "under (proc.name=a or proc.name=b)", "under (proc.name = a or proc.name = b)"),
    (Mode::Lenient, "near(evt.type=execve, 5s by proc.pid)", "near(evt.type = execve, 5s by proc.pid)"),
    (
        Mode::Lenient,
        "seq(evt.type=open; evt.type=connect foo within 10s)",
        "seq(evt.type = open; evt.type = connect and foo within 10s)",
    ),
    (Mode::Lenient, "time in 12:00..start+5s", "time in 12:00:00.000000000 .. start+5s"),
    (Mode::Lenient, "time in +0.0 .. +0.2", "time in start .. start+200ms"),
    (Mode::Lenient, "time in +0.235824..end-2", "time in start+235824us .. end-2s"),
    (Mode::Lenient, "time > alert:1-30", "time > alert:1-30s"),
    (
        Mode::Lenient,
        "time > 2026-11-22 time < 2026-11-22 12:03 wget",
        "time > 2026-11-22T00:00:00.000000000Z and time < 2026-11-22T12:03:00.000000000Z and wget",
    ),
    (
        Mode::Lenient,
        "time in 2026-11-22T12:03 .. 2026-11-22 12:03:11.5+2s",
        "time in 2026-11-22T12:03:00.000000000Z .. 2026-11-22T12:03:11.500000000Z+2s",
    ),
    (Mode::Lenient, "time > 2026-11-22 12", "time > 2026-11-22T00:00:00.000000000Z and 12"),
    (Mode::Lenient, "time >= +19s life < 1m30s", "time >= start+19s and life < 90s"),
    (Mode::Lenient, "time life seq near", "time and life and seq and near"),
];

#[test]
fn texts_are_read_as_what_they_say() {
    for (mode, text, printed) in READ {
        let expr = parse(text, *mode).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(print(&expr), *printed, "{text}");
        assert_eq!(parse(printed, *mode).as_ref(), Ok(&expr), "{printed}");
    }
}

/// (mode, text, whole message)
const REFUSED: &[(Mode, &str, &str)] = &[
    (Mode::Strict, "", "column 1: the filter is empty"),
    (Mode::Strict, "proc.name", "column 10: expected an operator, found the end"),
    (Mode::Strict, "proc.name = ", "column 13: expected a value, found the end"),
    (
        Mode::Strict,
        "proc.name contians x",
        "column 11: expected an operator, found `contians`; did you mean `contains`?",
    ),
    (
        Mode::Lenient,
        "proc.name startwith x",
        "column 11: expected an operator, found `startwith`; did you mean `startswith`?",
    ),
    (
        Mode::Lenient,
        "proc.name anyof (sh, bash)",
        "column 11: expected an operator, found `anyof`; `anyof` follows one: `proc.name startswith anyof (nginx, apache)`",
    ),
    (Mode::Strict, "(a", "column 3: expected `)`, found the end"),
    (Mode::Strict, "a b", "column 3: expected `and`, `or` or the end, found `b`"),
    (Mode::Strict, "proc.name in (a, )", "column 18: expected a value, found `)`"),
    (Mode::Strict, "fd.num < x", "column 10: expected a number, found `x`"),
    (Mode::Strict, "fd.name = \"a", "column 11: string without its closing \""),
    (
        Mode::Strict,
        "proc.name ~ x",
        "column 11: `~` belongs to the filter bar, not to rule files; rule files have `regex`",
    ),
    (Mode::Strict, "near(a, 5s)", "column 1: a scope belongs to the filter bar, not to rule files"),
    (Mode::Strict, "and a", "column 1: expected a field, a macro or `(`, found `and`"),
    (
        Mode::Lenient,
        "proc.name",
        "column 10: expected an operator, found the end; `proc.name exists` asks whether it has a value",
    ),
    (
        Mode::Lenient,
        "near(a, 5)",
        "column 9: `5` is not a length of time; write a number and a unit, as in `250ms`, `5s`, `1m30s`",
    ),
    (
        Mode::Lenient,
        "within foo",
        "column 1: `within` needs a condition on a process, such as `proc.name = sshd`",
    ),
    (Mode::Lenient, "seq(a within 5s)", "column 7: expected `;` and a second step, found `within`"),
    (
        Mode::Lenient,
        "time > 3m ago",
        "column 8: `3m` is not a moment; a filter knows no `ago`: write `end-3m`, or `--begin '3m ago'` beside the filter",
    ),
    (Mode::Lenient, "time > 3m", "column 8: `3m` is not a moment; write `start+3m` or `end-3m`"),
    (
        Mode::Lenient,
        "time > yesterday",
        "column 8: `yesterday` is not a moment; write RFC 3339, a date such as `2026-11-22` with or without a time (UTC), a \
         clock time such as `12:03:11`, `start`, `end`, `alert:1`, `mark:a`, or `+19s` after the start",
    ),
    (Mode::Lenient, "a or", "column 5: expected a field, some text or `(`, found the end"),
];

#[test]
fn errors_name_the_column_and_what_to_write() {
    for (mode, text, message) in REFUSED {
        let error = parse(text, *mode).expect_err(text);
        assert_eq!(error.to_string(), *message, "{text}");
    }
    let error = parse("fd.name = \"a\\d\"", Mode::Strict).expect_err("unknown escape");
    assert!(error.to_string().starts_with("column 13: unknown escape `\\d`"), "{error}");
}

#[test]
fn hostile_depth_and_length_are_refused() {
    for text in ["(".repeat(5000), "not ".repeat(5000), "len(".repeat(5000), "within ".repeat(5000)] {
        for mode in [Mode::Strict, Mode::Lenient] {
            assert!(parse(&text, mode).is_err());
        }
    }
    let error = parse(&"a ".repeat(1 << 16), Mode::Lenient).expect_err("too long");
    assert!(error.to_string().contains("longer than 65536"), "{error}");
}
