//! From the tree to a program: names looked up, types checked, constants read, what is decided already left out.

use std::borrow::Cow;

use afterimage_format::EventCode;

use crate::{
    compare::{self, Comparison, Constants},
    fields, modes,
    needle::Needle,
    program::{Check, CodeTest, FieldsCheck, Node},
    shape,
    survey::Survey,
    syntax::{
        FilterError, FilterErrorKind, Mode,
        ast::{self, Expr, Function, Item, Literal, Op, Right, Span, Term, Test},
    },
    term::{Source, unknown},
    value::{Kind, Multi},
    warning::{self, FilterWarning},
    whole,
};

/// What compiling needs to know and what it notices.
#[derive(Debug)]
pub(crate) struct Compiler {
    mode: Mode,
    pub(crate) warnings: Vec<FilterWarning>,
    /// Where it uses fields that only a recording answers, and which.
    pub(crate) needs_recording: Vec<(Span, &'static str)>,
    regexes: usize,
}

/// Most regular expressions of one filter: each takes some memory.
const MAX_REGEXES: usize = 200;

/// A node, or nothing: a check that is accepted and ignored.
type Compiled = Option<Node>;

impl Compiler {
    pub(crate) fn new(mode: Mode) -> Self {
        Self { mode, warnings: Vec::new(), needs_recording: Vec::new(), regexes: 0 }
    }

    /// Compiles a filter in which no macro and no saved filter is left. Macros count as true: their own text is
    /// checked by itself.
    pub(crate) fn filter(&mut self, expr: &Expr) -> Result<Node, FilterError> {
        Ok(self.node(expr)?.unwrap_or(Node::Const(true)))
    }

    fn node(&mut self, expr: &Expr) -> Result<Compiled, FilterError> {
        Ok(Some(match expr {
            Expr::And(parts) => return Ok(join(self.all(parts)?, true)),
            Expr::Or(parts) => return Ok(join(self.all(parts)?, false)),
            Expr::Not(inner) => match self.node(inner)? {
                None => return Ok(None),
                Some(Node::Const(value)) => Node::Const(!value),
                Some(Node::Not(node)) => *node,
                Some(node) => Node::Not(Box::new(node)),
            },
            Expr::Check(check) => return self.check(check),
            Expr::Macro(_) => return Ok(None),
            Expr::Saved(name) => {
                let kind = FilterErrorKind::UnknownSaved { name: name.text.clone() };
                return Err(FilterError::new(name.span, kind));
            }
            Expr::Text(literal) => {
                let fold = !literal.bytes.iter().any(u8::is_ascii_uppercase);
                Node::Text(Box::new(Needle::new(&literal.bytes, fold)))
            }
            Expr::Scope(scope) => self.scope(scope)?,
            Expr::Near(near) => {
                let inner = self.surveyed("near", &near.inner, near.span)?;
                Node::Survey(Box::new(Survey::near(inner, near.distance, self.by(near.by.as_ref())?)))
            }
            Expr::Seq(seq) => {
                let steps: Result<_, _> =
                    seq.steps.iter().map(|s| self.surveyed("seq", s, seq.span)).collect();
                Node::Survey(Box::new(Survey::seq(steps?, seq.limit, self.by(seq.by.as_ref())?)))
            }
            Expr::Time(test) => Node::Time(test.clone()),
            Expr::Life(life) => Node::Life(life.op, life.nanos),
        }))
    }

    fn all(&mut self, parts: &[Expr]) -> Result<Vec<Node>, FilterError> {
        let mut nodes = Vec::with_capacity(parts.len());
        for part in parts {
            nodes.extend(self.node(part)?);
        }
        Ok(nodes)
    }

    /// A condition inside a scope that takes a first pass: no other such scope in it.
    fn surveyed(&mut self, scope: &'static str, expr: &Expr, span: Span) -> Result<Node, FilterError> {
        let node = self.filter(expr)?;
        if node.any(&|node| matches!(node, Node::Survey(_))) {
            let problem = "cannot hold another `near` or `seq`";
            return Err(FilterError::new(span, FilterErrorKind::Scope { scope, problem }));
        }
        Ok(node)
    }

    /// `within` and `under`: what is asked of ancestors must be theirs.
    fn scope(&mut self, scope: &ast::Scope) -> Result<Node, FilterError> {
        let word = if scope.inclusive { "within" } else { "under" };
        let node = self.filter(&scope.inner)?;
        let of_process = |source: &Source| {
            let mut all = true;
            source.each_field(&mut |field| all &= field.is_of_process());
            all
        };
        let foreign = |node: &Node| match node {
            Node::Check(check) => !of_process(&check.source),
            Node::Fields(check) => !of_process(&check.left) || !of_process(&check.right),
            Node::Exists(source) => !of_process(source),
            Node::And(_) | Node::Or(_) | Node::Not(_) | Node::Const(_) | Node::Life(..) => false,
            _ => true,
        };
        if node.any(&foreign) {
            let problem =
                "asks processes: use fields of `proc`, `thread`, `user`, `group` and `container` in it";
            return Err(FilterError::new(scope.span, FilterErrorKind::Scope { scope: word, problem }));
        }
        Ok(Node::Within(scope.inclusive, Box::new(node)))
    }

    fn check(&mut self, check: &ast::Check) -> Result<Compiled, FilterError> {
        let source = self.source(&check.left)?;
        let Test::Compare { op, modifier, right } = &check.test else {
            if let Source::Field(field) = &source {
                self.warnings.extend(warning::of_exists(field, check.span));
            }
            return Ok(Some(Node::Exists(Box::new(source))));
        };
        let spelt = match &source {
            Source::Field(field) => modes::read(field, *op, right),
            _ => Cow::Borrowed(right),
        };
        let written = right;
        let right = &*spelt;
        if let Source::Field(field) = &source {
            self.warnings.extend(warning::of_check(field, *op, written, check.span));
            match field.def().name {
                "evt.dir" => return Ok(None),
                "evt.around" => return around(&check.left, *op, right, check.span).map(Some),
                _ => {}
            }
            if field.is_event_type()
                && modifier.is_none()
                && let Some(node) = self.event_type(*op, right, field.def().name == "syscall.type")?
            {
                return Ok(Some(node));
            }
        }
        let (multi, kind) = (source.multi(), self.kind_of(&source, right));
        applies(*op, modifier.is_some(), kind, multi, check)?;
        let constants = match right {
            Right::Literal(literal) => Constants::One(literal),
            Right::List(items) => Constants::List(items, *modifier),
            Right::Term(term) => return self.fields(source, *op, term, check).map(Some),
        };
        if let Some(decided) = decided(&source, *op, right) {
            return Ok(Some(Node::Const(decided)));
        }
        if matches!(op, Op::Regex | Op::Search) {
            self.regexes += if let Right::List(items) = right { items.len() } else { 1 };
        }
        if self.regexes > MAX_REGEXES {
            return Err(FilterError::new(check.span, FilterErrorKind::TooManyRegexes { limit: MAX_REGEXES }));
        }
        let comparison = Comparison::new(*op, kind, &constants)?;
        Ok(Some(Node::Check(Box::new(Check { source, multi, op: *op, comparison, shared: None }))))
    }

    fn source(&mut self, term: &Term) -> Result<Source, FilterError> {
        if let Term::Field { name, .. } = term
            && self.mode == Mode::Strict
            && !name.text.contains('.')
        {
            return Err(unknown(&name.text, name.span));
        }
        let source = Source::new(term)?;
        term.each_field(&mut |name| {
            let known = fields::lookup(&name.text).map(|(def, _)| def.name);
            self.needs_recording
                .extend(known.filter(|known| whole::needs_recording(known)).map(|known| (name.span, known)));
        });
        Ok(source)
    }

    fn by(&mut self, term: Option<&Term>) -> Result<Option<Source>, FilterError> {
        term.map(|term| self.source(term)).transpose()
    }

    /// The type to compare as: raw arguments are what they are compared with.
    fn kind_of(&self, source: &Source, right: &Right) -> Kind {
        let Source::Field(field) = source else { return source.kind() };
        if field.def().name != "evt.rawarg" {
            return source.kind();
        }
        let numeric = |literal: &Literal| compare::number(Kind::Number, literal).is_ok();
        let all = match right {
            Right::Literal(literal) => numeric(literal),
            Right::List(items) => {
                items.iter().all(|item| matches!(item, Item::One(l) | Item::Range(l, _) if numeric(l)))
            }
            Right::Term(_) => true,
        };
        if all { Kind::Number } else { Kind::Text }
    }

    /// A test of the event's type by its code; `None` for operators on the name's text.
    fn event_type(&mut self, op: Op, right: &Right, calls_only: bool) -> Result<Option<Node>, FilterError> {
        let literals: Vec<&Literal> = match (op, right) {
            (Op::Eq | Op::Ne, Right::Literal(literal)) => vec![literal],
            (Op::In | Op::Intersects, Right::List(items)) => items
                .iter()
                .map(|item| match item {
                    Item::One(literal) => Ok(literal),
                    Item::Range(low, _) => {
                        Err(FilterError::new(low.span, FilterErrorKind::value(&low.bytes, "an event type")))
                    }
                })
                .collect::<Result<_, _>>()?,
            _ => return Ok(None),
        };
        let mut test = CodeTest { codes: Vec::new(), execs: [false; 2] };
        for literal in literals {
            self.add_type(&mut test, literal)?;
        }
        if calls_only {
            test.codes.retain(|code| EventCode(*code).as_syscall().is_some());
        }
        test.codes.sort_unstable();
        test.codes.dedup();
        let node = Node::Codes(test);
        Ok(Some(if op == Op::Ne { Node::Not(Box::new(node)) } else { node }))
    }

    fn add_type(&mut self, test: &mut CodeTest, literal: &Literal) -> Result<(), FilterError> {
        let name = std::str::from_utf8(&literal.bytes).unwrap_or("");
        let codes = shape::codes(name).ok_or_else(|| {
            FilterError::new(literal.span, FilterErrorKind::value(&literal.bytes, "an event type"))
                .suggest_near(name, shape::names())
        })?;
        if codes.is_empty() {
            let message = format!("events of type `{name}` are not recorded");
            self.warnings.push(FilterWarning { span: literal.span, message });
        }
        for code in codes {
            if code == EventCode::EXEC {
                test.execs[0] |= name != "execveat";
                test.execs[1] |= name != "execve";
            } else {
                test.codes.push(code.0);
            }
        }
        Ok(())
    }

    fn fields(
        &mut self,
        left: Source,
        op: Op,
        right: &Term,
        check: &ast::Check,
    ) -> Result<Node, FilterError> {
        let source = self.source(right)?;
        let refuse = |problem| {
            Err(FilterError::new(
                check.span,
                FilterErrorKind::Call { function: Function::Val.as_str(), problem },
            ))
        };
        if matches!(op, Op::Pmatch | Op::Regex | Op::Search) {
            return refuse("cannot be the right side of `pmatch` and `regex`");
        }
        if left.kind() == Kind::Network || source.kind() == Kind::Network {
            return refuse("cannot be compared with networks");
        }
        let textual = |kind| matches!(kind, Kind::Text | Kind::Bytes);
        let numeric = |kind| matches!(kind, Kind::Number | Kind::Duration | Kind::Time | Kind::Port);
        let (a, b) = (left.kind(), source.kind());
        if !(a == b || textual(a) && textual(b) || numeric(a) && numeric(b)) {
            return refuse("has another type than the left side");
        }
        Ok(Node::Fields(Box::new(FieldsCheck { left, op, right: source })))
    }
}

/// Joins parts: constants decide or fall away; parts that are ignored are not there.
fn join(parts: Vec<Node>, and: bool) -> Compiled {
    let had_any = !parts.is_empty();
    let mut kept = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Node::Const(value) if value == and => {}
            Node::Const(value) => return Some(Node::Const(value)),
            Node::And(inner) if and => kept.extend(inner),
            Node::Or(inner) if !and => kept.extend(inner),
            part => kept.push(part),
        }
    }
    match kept.len() {
        0 => had_any.then_some(Node::Const(and)),
        1 => kept.pop(),
        _ => Some(if and { Node::And(kept) } else { Node::Or(kept) }),
    }
}

/// Checks that are decided for every event: events are numbered from 1.
fn decided(source: &Source, op: Op, right: &Right) -> Option<bool> {
    let Source::Field(field) = source else { return None };
    if !field.def().is_recorded() {
        return Some(false);
    }
    let Right::Literal(literal) = right else { return None };
    if field.def().name != "evt.num" {
        return None;
    }
    let number = compare::number(Kind::Number, literal).ok()?;
    match op {
        Op::Eq if number < 1 => Some(false),
        Op::Ne | Op::Gt if number < 1 => Some(true),
        Op::Ge if number <= 1 => Some(true),
        _ => None,
    }
}

fn applies(op: Op, modified: bool, kind: Kind, multi: Multi, check: &ast::Check) -> Result<(), FilterError> {
    if fields::applies(op, kind, multi) && !(modified && multi == Multi::List) {
        return Ok(());
    }
    let subject = crate::syntax::print_term(&check.left);
    let phrase = if multi == Multi::List { "a list" } else { kind.phrase() };
    let names: Vec<&str> =
        Op::ALL.iter().filter(|op| fields::applies(**op, kind, multi)).map(|op| op.as_str()).collect();
    let kind = FilterErrorKind::Operator { op: op.as_str(), subject, kind: phrase };
    Err(FilterError::new(check.span, kind).suggest(format!("it has `{}`", names.join("`, `"))))
}

/// `evt.around[T]=D`.
fn around(left: &Term, op: Op, right: &Right, span: Span) -> Result<Node, FilterError> {
    let refuse = |what| {
        let value = crate::syntax::print_term(left);
        Err(FilterError::new(span, FilterErrorKind::Value { value, what }))
    };
    let (Op::Eq, Right::Literal(distance), Term::Field { arg: Some(at), .. }) = (op, right, left) else {
        return refuse("of the form `evt.around[NANOSECONDS]=MILLISECONDS`");
    };
    let at = compare::number(Kind::Number, at)?;
    let distance = compare::number(Kind::Number, distance)?;
    let distance = u64::try_from(distance).ok().and_then(|ms| ms.checked_mul(1_000_000));
    match (i64::try_from(at), distance) {
        (Ok(at), Some(distance)) => Ok(Node::Around { at, distance }),
        _ => refuse("of the form `evt.around[NANOSECONDS]=MILLISECONDS`"),
    }
}
