//! `parse(print(tree)) == tree`, for any tree; and no text makes the parser panic.

use afterimage_detect::syntax::{
    Mode,
    ast::{
        Arg, Check, Expr, Function, Item, LifeTest, Literal, Modifier, Name, Near, Op, Right, Scope, Seq,
        Span, Term, Test, TimeTest,
    },
    instant::{Base, Instant},
    parse, print,
};
use proptest::{prelude::*, sample::select};

fn name(text: String) -> Name {
    Name { text, span: Span::default() }
}

fn literal(bytes: Vec<u8>, quoted: bool) -> Literal {
    Literal { bytes, quoted, span: Span::default() }
}

fn bare(mode: Mode) -> impl Strategy<Value = Literal> {
    "[a-zA-Z0-9_/.:*\\[\\]\\\\-]{1,8}"
        .prop_filter("keywords are quoted, and in the bar two dots make a range", move |text: &String| {
            (mode == Mode::Strict || !text.contains(".."))
                && !Modifier::ALL.iter().any(|m| m.as_str() == text.as_str())
        })
        .prop_map(|text| literal(text.into_bytes(), false))
}

fn value(mode: Mode) -> impl Strategy<Value = Literal> {
    prop_oneof![
        bare(mode),
        prop::collection::vec(any::<u8>(), 0..8).prop_map(|bytes| literal(bytes, true)),
        "\\PC{0,6}".prop_map(|text| literal(text.into_bytes(), true)),
    ]
}

fn number() -> impl Strategy<Value = Literal> {
    any::<i32>().prop_map(|n| literal(n.to_string().into_bytes(), false))
}

fn field() -> impl Strategy<Value = Term> {
    let names = ["proc.name", "evt.arg.flags", "fd.name", "proc.aname", "container.mount.dest", "x.y"];
    let index = prop::option::of("[a-z0-9/*]{1,4}".prop_map(|t: String| literal(t.into_bytes(), false)));
    (select(names.to_vec()), index).prop_map(|(text, arg)| Term::Field { name: name(text.to_owned()), arg })
}

fn term() -> impl Strategy<Value = Term> {
    field().prop_recursive(2, 8, 3, |inner| {
        let leaf = prop_oneof![
            inner.clone().prop_map(Arg::Term),
            number().prop_map(Arg::Literal),
            prop::collection::vec(any::<u8>(), 0..4).prop_map(|b| Arg::Literal(literal(b, true))),
        ];
        let arg = prop_oneof![3 => leaf.clone(), 1 => prop::collection::vec(leaf, 0..3).prop_map(Arg::List)];
        (select(Function::ALL.to_vec()), prop::collection::vec(arg, 0..3))
            .prop_map(|(function, args)| Term::Call { function, args, index: None, span: Span::default() })
    })
}

fn call() -> impl Strategy<Value = Term> {
    term().prop_filter("the right side is a function", |t| matches!(t, Term::Call { .. }))
}

fn items(mode: Mode) -> impl Strategy<Value = Vec<Item>> {
    let one = value(mode).prop_map(Item::One);
    let range = (0u32..99, 0u32..99).prop_map(|(low, high)| {
        let end = |n: u32| literal(n.to_string().into_bytes(), false);
        Item::Range(end(low), end(high))
    });
    let item = if mode == Mode::Lenient { prop_oneof![4 => one, 1 => range].boxed() } else { one.boxed() };
    prop::collection::vec(item, 0..4)
}

fn test(mode: Mode) -> impl Strategy<Value = Test> {
    // `~` is the bar's.
    let known = move |op: &Op| mode == Mode::Lenient || *op != Op::Search;
    let ops = move |keep: fn(&Op) -> bool| {
        select(Op::ALL.iter().copied().filter(keep).filter(known).collect::<Vec<_>>())
    };
    let compare = |op, modifier, right| Test::Compare { op, modifier, right };
    let plain = ops(|op| !op.takes_list() && !op.takes_number());
    prop_oneof![
        Just(Test::Exists),
        (plain.clone(), value(mode)).prop_map(move |(op, v)| compare(op, None, Right::Literal(v))),
        (plain.clone(), select(Modifier::ALL.to_vec()), items(mode)).prop_map(move |(op, m, list)| compare(
            op,
            Some(m),
            Right::List(list)
        )),
        (plain, call()).prop_map(move |(op, t)| compare(op, None, Right::Term(Box::new(t)))),
        (ops(|op| op.takes_number()), number()).prop_map(move |(op, v)| compare(op, None, Right::Literal(v))),
        (ops(|op| op.takes_list()), items(mode)).prop_map(move |(op, list)| compare(
            op,
            None,
            Right::List(list)
        )),
    ]
}

fn check(mode: Mode) -> impl Strategy<Value = Expr> {
    (term(), test(mode)).prop_map(|(left, test)| Expr::Check(Check { left, test, span: Span::default() }))
}

fn instant() -> impl Strategy<Value = Instant> {
    let base = prop_oneof![
        (0..4_000_000_000_000_000_000i64).prop_map(Base::Utc),
        (0..86_400_000_000_000u64).prop_map(Base::Clock),
        Just(Base::Start),
        Just(Base::End),
        any::<u32>().prop_map(Base::Alert),
        prop::char::range('a', 'z').prop_map(Base::Mark),
    ];
    (base, any::<i32>()).prop_map(|(base, offset)| Instant {
        base,
        offset: offset.into(),
        span: Span::default(),
    })
}

fn leaf(mode: Mode) -> BoxedStrategy<Expr> {
    let identifier = "[a-z][a-z0-9_]{0,6}";
    if mode == Mode::Strict {
        let reserved = |text: &String| !["and", "or", "not"].contains(&text.as_str());
        let macros = identifier.prop_filter("keyword", reserved).prop_map(|text| Expr::Macro(name(text)));
        return prop_oneof![3 => check(mode), 1 => macros].boxed();
    }
    let comparators = select(vec![Op::Lt, Op::Le, Op::Gt, Op::Ge, Op::Eq, Op::Ne]);
    prop_oneof![
        6 => check(mode),
        1 => identifier.prop_map(|text| Expr::Saved(name(text))),
        1 => "[a-z]{2}[0-9]{1,3}".prop_map(|text: String| Expr::Text(literal(text.into_bytes(), false))),
        1 => prop::collection::vec(any::<u8>(), 0..6).prop_map(|bytes| Expr::Text(literal(bytes, true))),
        1 => (instant(), instant()).prop_map(|(low, high)| Expr::Time(TimeTest::In(low, high))),
        1 => (comparators.clone(), instant()).prop_map(|(op, at)| Expr::Time(TimeTest::Compare(op, at))),
        1 => (comparators, any::<u32>()).prop_map(|(op, n)| Expr::Life(LifeTest { op, nanos: n.into() })),
    ]
    .boxed()
}

fn expr(mode: Mode) -> impl Strategy<Value = Expr> {
    leaf(mode).prop_recursive(4, 24, 3, move |inner| {
        let several = prop::collection::vec(inner.clone(), 2..4);
        let all = prop_oneof![
            several.clone().prop_map(Expr::Or),
            several.clone().prop_map(Expr::And),
            inner.clone().prop_map(|inner| Expr::Not(Box::new(inner))),
        ];
        if mode == Mode::Strict {
            return all.boxed();
        }
        let condition = inner.clone().prop_filter("text is no process", |e| !matches!(e, Expr::Text(_)));
        let span = Span::default();
        let by = || prop::option::of(field());
        prop_oneof![
            6 => all,
            1 => (any::<bool>(), condition)
                .prop_map(move |(inclusive, inner)| Expr::Scope(Scope { inclusive, inner: Box::new(inner), span })),
            1 => (inner, any::<u32>(), by())
                .prop_map(move |(inner, d, by)| Expr::Near(Near { inner: Box::new(inner), distance: d.into(), by, span })),
            1 => (several, any::<u32>(), by())
                .prop_map(move |(steps, limit, by)| Expr::Seq(Seq { steps, limit: limit.into(), by, span })),
        ]
        .boxed()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn printed_rules_are_read_as_the_same_tree(tree in expr(Mode::Strict)) {
        let text = print(&tree);
        prop_assert_eq!(parse(&text, Mode::Strict), Ok(tree), "{}", text);
    }

    #[test]
    fn printed_filters_are_read_as_the_same_tree(tree in expr(Mode::Lenient)) {
        let text = print(&tree);
        prop_assert_eq!(parse(&text, Mode::Lenient), Ok(tree), "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused_and_reads_again(text in "\\PC{0,40}") {
        for mode in [Mode::Strict, Mode::Lenient] {
            if let Ok(tree) = parse(&text, mode) {
                let printed = print(&tree);
                prop_assert_eq!(parse(&printed, mode), Ok(tree), "{} -> {}", text, printed);
            }
        }
    }

    #[test]
    fn filterlike_text_is_read_or_refused_and_reads_again(words in prop::collection::vec(select(vec![
        "proc.name", "=", "!=", "in", "(", ")", ",", "and", "or", "not", "exists", "a", "\"b\"", "within", "seq(", ";",
        "5s", "near(", "by", "!", "$x", "glob", "oneof", "val(", "len(", "[1]", "~", "..", "1..2", "time", ">=", "start",
    ]), 0..14)) {
        let text = words.join(" ");
        for mode in [Mode::Strict, Mode::Lenient] {
            if let Ok(tree) = parse(&text, mode) {
                let printed = print(&tree);
                prop_assert_eq!(parse(&printed, mode), Ok(tree), "{} -> {}", text, printed);
            }
        }
    }
}

/// Found by fuzzing: `not` before a sign was a field, which printed is another filter.
#[test]
fn a_word_of_the_language_before_a_sign_is_no_field() {
    for text in
        ["c#d not>>>>(d)", "not>1", "a not<b", "not=x and y", "(a=b) within=d 412", "under=x y", "within=1"]
    {
        if let Ok(tree) = parse(text, Mode::Lenient) {
            let printed = print(&tree);
            let again = parse(&printed, Mode::Lenient).map(|tree| print(&tree));
            assert_eq!(again.as_ref(), Ok(&printed), "{text}");
        }
    }
    assert!(parse("c not>>>>(d)", Mode::Lenient).is_ok());
}
