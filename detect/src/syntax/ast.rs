//! The tree a filter is parsed into.
//!
//! Positions ([`Span`]) are no part of an expression's identity: two trees are equal when they say the same, wherever
//! it was written. That makes `parse(print(tree)) == tree` a property that can be tested.

use super::instant::{Base, Instant};

/// Where in the filter's text something was written: byte offsets, half open.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// Behind the last byte.
    pub end: usize,
}

impl PartialEq for Span {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Span {}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// At least two alternatives.
    Or(Vec<Self>),
    /// At least two parts.
    And(Vec<Self>),
    /// The opposite.
    Not(Box<Self>),
    /// A field and what is asked of it.
    Check(Check),
    /// A macro's name; rule files only.
    Macro(Name),
    /// A saved filter, `$name`; filter bar only.
    Saved(Name),
    /// Text to be found in the event's summary; filter bar only.
    Text(Literal),
    /// A scope over processes: `within`, `under`.
    Scope(Scope),
    /// Everything around a match: `near`.
    Near(Near),
    /// Steps in order: `seq`.
    Seq(Seq),
    /// When it happened: `time`.
    Time(TimeTest),
    /// How long the container lived: `life`.
    Life(LifeTest),
}

impl Expr {
    /// Calls `visit` with every moment in it that an alert or a mark gives, those inside scopes included.
    pub(crate) fn named_moments(&self, visit: &mut dyn FnMut(&Instant)) {
        match self {
            Self::Or(parts) | Self::And(parts) => parts.iter().for_each(|part| part.named_moments(visit)),
            Self::Not(inner) => inner.named_moments(visit),
            Self::Scope(scope) => scope.inner.named_moments(visit),
            Self::Near(near) => near.inner.named_moments(visit),
            Self::Seq(seq) => seq.steps.iter().for_each(|step| step.named_moments(visit)),
            Self::Time(test) => test.named().for_each(visit),
            Self::Check(_) | Self::Macro(_) | Self::Saved(_) | Self::Text(_) | Self::Life(_) => {}
        }
    }
}

/// A name and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// A value as written: its bytes, escapes resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// The bytes meant.
    pub bytes: Vec<u8>,
    /// It was quoted: never a keyword, macro or list.
    pub quoted: bool,
    /// Where it stands.
    pub span: Span,
}

/// A field and what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What is looked at.
    pub left: Term,
    /// What is asked.
    pub test: Test,
    /// The whole check.
    pub span: Span,
}

/// What is asked of a term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// It has a value.
    Exists,
    /// It compares to something.
    Compare {
        /// How.
        op: Op,
        /// With how many of the values.
        modifier: Option<Modifier>,
        /// With what.
        right: Right,
    },
}

/// The right side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    /// One value.
    Literal(Literal),
    /// Several values.
    List(Vec<Item>),
    /// Another field: `val(...)` or a function of one.
    Term(Box<Term>),
}

/// One member of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A value.
    One(Literal),
    /// All numbers between two, both included; filter bar only.
    Range(Literal, Literal),
}

/// A field, or a function of fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// A field by its full dotted name.
    Field {
        /// Such as `proc.aname`.
        name: Name,
        /// Such as `2` of `proc.aname[2]`.
        arg: Option<Literal>,
    },
    /// A function call.
    Call {
        /// Which.
        function: Function,
        /// Of what.
        args: Vec<Arg>,
        /// What of its result: the option of `getopt(...)[o]`.
        index: Option<Literal>,
        /// Where it stands.
        span: Span,
    },
}

impl Term {
    /// Calls `visit` with the name of every field in it.
    pub(crate) fn each_field(&self, visit: &mut dyn FnMut(&Name)) {
        match self {
            Self::Field { name, .. } => visit(name),
            Self::Call { args, .. } => args.iter().for_each(|arg| arg.each_field(visit)),
        }
    }
}

impl Arg {
    fn each_field(&self, visit: &mut dyn FnMut(&Name)) {
        match self {
            Self::Term(term) => term.each_field(visit),
            Self::Literal(_) => {}
            Self::List(args) => args.iter().for_each(|arg| arg.each_field(visit)),
        }
    }
}

/// An argument of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arg {
    /// A field or a function of one.
    Term(Term),
    /// A constant: a quoted string or a number.
    Literal(Literal),
    /// A list of both.
    List(Vec<Self>),
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vmeta])* $variant,)* }

        impl $name {
            /// All of them, in the order of the grammar.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As it is written.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

words! {
    /// A comparison.
    Op {
        /// Equal; of several values any.
        Eq = "=",
        /// Not equal; of several values none.
        Ne = "!=",
        /// Less.
        Lt = "<",
        /// Less or equal.
        Le = "<=",
        /// Greater.
        Gt = ">",
        /// Greater or equal.
        Ge = ">=",
        /// Has it as a part.
        Contains = "contains",
        /// Has it as a part, ASCII case ignored.
        Icontains = "icontains",
        /// Has these bytes, given as hex digits, as a part.
        Bcontains = "bcontains",
        /// Begins with it.
        Startswith = "startswith",
        /// Begins with these bytes, given as hex digits.
        Bstartswith = "bstartswith",
        /// Ends with it.
        Endswith = "endswith",
        /// The whole matches a pattern of `*`, `?` and `[...]`.
        Glob = "glob",
        /// The same, ASCII case ignored.
        Iglob = "iglob",
        /// The whole matches a regular expression.
        Regex = "regex",
        /// A regular expression matches somewhere; filter bar only.
        Search = "~",
        /// All of the field's values are in the list.
        In = "in",
        /// At least one of the field's values is in the list.
        Intersects = "intersects",
        /// One of the listed paths is the field's path or a directory above it.
        Pmatch = "pmatch",
    }
}

words! {
    /// With how many of the listed values a comparison must hold.
    Modifier {
        /// With exactly one.
        Oneof = "oneof",
        /// With at least one.
        Anyof = "anyof",
        /// With all.
        Allof = "allof",
    }
}

words! {
    /// A function of terms.
    Function {
        /// ASCII lower case.
        Tolower = "tolower",
        /// ASCII upper case.
        Toupper = "toupper",
        /// Base64 decoded.
        B64 = "b64",
        /// What follows the last slash.
        Basename = "basename",
        /// What is before the last slash; ours.
        Dirname = "dirname",
        /// Length in bytes, or members of a list.
        Len = "len",
        /// A list joined by a separator.
        Join = "join",
        /// Strings one after the other.
        Concat = "concat",
        /// Options of a list of arguments.
        Getopt = "getopt",
        /// The field itself, on the right side of a comparison.
        Val = "val",
    }
}

impl Op {
    /// Whether it takes a list.
    pub const fn takes_list(self) -> bool {
        matches!(self, Self::In | Self::Intersects | Self::Pmatch)
    }

    /// Whether it compares numbers only in Falco's grammar.
    pub const fn takes_number(self) -> bool {
        matches!(self, Self::Lt | Self::Le | Self::Gt | Self::Ge)
    }
}

/// `within` and `under`: processes chosen by a condition, and their descendants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The chosen processes themselves belong to it (`within`), or only those below them (`under`).
    pub inclusive: bool,
    /// What chooses the process.
    pub inner: Box<Expr>,
    /// The whole.
    pub span: Span,
}

/// `near(...)`: everything within some time of a match, before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Near {
    /// What is matched.
    pub inner: Box<Expr>,
    /// How far, nanoseconds.
    pub distance: u64,
    /// Only events whose value of this field is the match's.
    pub by: Option<Term>,
    /// The whole.
    pub span: Span,
}

/// `seq(...)`: steps that happened in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seq {
    /// At least two.
    pub steps: Vec<Expr>,
    /// From first to last at most, nanoseconds.
    pub limit: u64,
    /// All steps have the same value of this field.
    pub by: Option<Term>,
    /// The whole.
    pub span: Span,
}

/// `time ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeTest {
    /// `time in A .. B`, both included.
    In(Instant, Instant),
    /// `time >= A` and the like.
    Compare(Op, Instant),
}

impl TimeTest {
    /// Those of its moments that an alert or a mark gives.
    fn named(&self) -> impl Iterator<Item = &Instant> {
        let (first, second) = match self {
            Self::In(low, high) => (low, Some(high)),
            Self::Compare(_, moment) => (moment, None),
        };
        let is_named = |instant: &&Instant| matches!(instant.base, Base::Alert(_) | Base::Mark(_));
        std::iter::once(first).chain(second).filter(is_named)
    }
}

/// `life < 5s` and the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LifeTest {
    /// How.
    pub op: Op,
    /// With what, nanoseconds.
    pub nanos: u64,
}
