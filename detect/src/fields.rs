//! The fields a filter can ask for: one table, from which the look-up, the completion and docs/fields.md are made.

mod alert;
mod args;
mod container;
mod descriptor;
mod evt;
mod fd;
mod file;
mod find;
mod net;
mod open;
mod path;
mod process;
mod thread;
mod user;

use crate::{
    context::EventContext,
    syntax::ast::{Literal, Op},
    value::{Kind, Multi, Value},
};

pub(crate) use args::is_known as is_known_argument;
pub(crate) use descriptor::descriptor_of;
pub(crate) use file::{Touched, touched};
pub(crate) use process::{after_first, command_line};

/// One field.
#[derive(Debug)]
pub struct FieldDef {
    /// Its full name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// How many values it can have.
    pub multi: Multi,
    /// Whether it takes an argument.
    pub arg: ArgRule,
    /// What it is and how it is computed, in a sentence or two.
    pub doc: &'static str,
    id: FieldId,
}

/// Whether a field takes an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArgRule {
    /// None.
    Never,
    /// A number may follow in brackets.
    MayIndex,
    /// A number or a name may follow in brackets.
    MayKey,
    /// A number or a name must follow in brackets.
    MustKey,
    /// A name must follow, in brackets or behind a dot.
    MustName,
}

/// Which field of which family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldId {
    Evt(evt::Evt),
    Process(process::Proc),
    Thread(thread::Thread),
    Fd(fd::Fd),
    File(file::File),
    Find(find::Find),
    Net(net::Net),
    Path(path::Path),
    User(user::User),
    Container(container::Container),
    Alert(alert::Alert),
    /// Known to Falco, never recorded.
    Absent,
}

/// A field with its argument.
#[derive(Debug, Clone)]
pub struct FieldRef {
    def: &'static FieldDef,
    arg: FieldArg,
}

/// A field's argument.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum FieldArg {
    #[default]
    None,
    Index(usize),
    Key(Box<[u8]>),
}

/// Declares a family: an enum of its fields and their table.
macro_rules! family {
    ($(#[$meta:meta])* $family:ident as $id:ident {
        $($variant:ident = $name:literal, $kind:ident, $multi:ident, $arg:ident: $doc:literal;)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum $family { $($variant,)* }

        impl $family {
            pub(super) const TABLE: &'static [$crate::fields::FieldDef] = &[$($crate::fields::FieldDef {
                name: $name,
                kind: $crate::value::Kind::$kind,
                multi: $crate::value::Multi::$multi,
                arg: $crate::fields::ArgRule::$arg,
                doc: $doc,
                id: $crate::fields::FieldId::$id(Self::$variant),
            },)*];
        }
    };
}
use family;

/// Fields of Falco that nothing recorded can answer: accepted with a warning, absent for every event.
const ABSENT: &[FieldDef] = &[
    absent("evt.deltatime", Kind::Duration),
    absent("evt.deltatime.s", Kind::Duration),
    absent("evt.deltatime.ns", Kind::Duration),
    absent("evt.asynctype", Kind::Text),
    absent("evt.pluginname", Kind::Text),
    absent("evt.plugininfo", Kind::Text),
    absent("evt.wait_latency", Kind::Duration),
    absent("evt.latency.quantized", Kind::Number),
    absent("proc.fdlimit", Kind::Number),
    absent("proc.fdusage", Kind::Number),
    absent("proc.vmsize", Kind::Number),
    absent("proc.vmrss", Kind::Number),
    absent("proc.vmswap", Kind::Number),
    absent("proc.is_container_healthcheck", Kind::Bool),
    absent("proc.is_container_liveness_probe", Kind::Bool),
    absent("proc.is_container_readiness_probe", Kind::Bool),
    absent("thread.pfmajor", Kind::Number),
    absent("thread.pfminor", Kind::Number),
    absent("thread.exectime", Kind::Duration),
    absent("thread.totexectime", Kind::Duration),
    absent("thread.cpu", Kind::Number),
    absent("thread.cpu.user", Kind::Number),
    absent("thread.cpu.system", Kind::Number),
    absent("thread.vmsize", Kind::Number),
    absent("thread.vmrss", Kind::Number),
    absent("user.shell", Kind::Text),
    absent("container.healthcheck", Kind::Text),
    absent("container.liveness_probe", Kind::Text),
    absent("container.readiness_probe", Kind::Text),
    absent("container.ip", Kind::Text),
    absent("container.cni.json", Kind::Text),
    absent("k8s.pod.ip", Kind::Text),
    absent("k8s.pod.cni.json", Kind::Text),
    absent("k8s.rc.name", Kind::Text),
    absent("k8s.rc.id", Kind::Text),
    absent("k8s.svc.name", Kind::Text),
    absent("k8s.svc.id", Kind::Text),
    absent("k8s.ns.id", Kind::Text),
    absent("k8s.rs.name", Kind::Text),
    absent("k8s.rs.id", Kind::Text),
    absent("k8s.deployment.name", Kind::Text),
    absent("k8s.deployment.id", Kind::Text),
];

const fn absent(name: &'static str, kind: Kind) -> FieldDef {
    FieldDef {
        name,
        kind,
        multi: Multi::One,
        arg: ArgRule::Never,
        doc: "Not recorded: never has a value.",
        id: FieldId::Absent,
    }
}

/// Every field, by family.
pub fn fields() -> impl Iterator<Item = &'static FieldDef> {
    [
        evt::Evt::TABLE,
        process::Proc::TABLE,
        thread::Thread::TABLE,
        fd::Fd::TABLE,
        path::Path::TABLE,
        file::File::TABLE,
        user::User::TABLE,
        container::Container::TABLE,
        alert::Alert::TABLE,
        find::Find::TABLE,
        net::Net::TABLE,
        ABSENT,
    ]
    .into_iter()
    .flatten()
}

/// The field of this full name, and the argument that a name behind a dot is (`evt.arg.flags`).
pub fn lookup(name: &str) -> Option<(&'static FieldDef, Option<&str>)> {
    if let Some(def) = fields().find(|def| def.name == name) {
        return Some((def, None));
    }
    fields().filter(|def| def.arg == ArgRule::MustName).find_map(|def| {
        let rest = name.strip_prefix(def.name)?.strip_prefix('.')?;
        (!rest.is_empty()).then_some((def, Some(rest)))
    })
}

/// First parts of field names.
const FAMILIES: [&str; 14] = [
    "evt",
    "syscall",
    "proc",
    "thread",
    "fd",
    "fs",
    "file",
    "user",
    "group",
    "container",
    "k8s",
    "alert",
    "find",
    "net",
];

/// Whether a dotted name begins like a field.
pub(crate) fn in_family(name: &str) -> bool {
    name.split_once('.').is_some_and(|(family, _)| FAMILIES.contains(&family))
}

impl FieldDef {
    /// Whether recordings can answer it at all.
    pub fn is_recorded(&self) -> bool {
        self.id != FieldId::Absent
    }

    /// The operators that apply to it, in the order of the grammar; `exists` applies to every field.
    pub fn operators(&self) -> impl Iterator<Item = Op> {
        let (kind, multi) = (self.kind, self.multi);
        Op::ALL.iter().copied().filter(move |op| applies(*op, kind, multi))
    }
}

/// Whether an operator applies to values of a kind.
pub(crate) fn applies(op: Op, kind: Kind, multi: Multi) -> bool {
    if multi == Multi::List {
        return matches!(op, Op::In | Op::Intersects);
    }
    let equality = matches!(op, Op::Eq | Op::Ne | Op::In | Op::Intersects);
    match kind {
        Kind::Text => !matches!(op, Op::Bcontains | Op::Bstartswith),
        Kind::Bytes => {
            equality
                || matches!(
                    op,
                    Op::Contains | Op::Startswith | Op::Endswith | Op::Bcontains | Op::Bstartswith
                )
                || op == Op::Search
        }
        Kind::Number | Kind::Duration | Kind::Time | Kind::Port => equality || op.takes_number(),
        Kind::Bool | Kind::Address | Kind::Network => equality,
    }
}

impl FieldRef {
    /// Whether its values come from [`crate::Frame::images`].
    pub fn asks_images(&self) -> bool {
        crate::prefilter::is_of_image(self.def.name)
    }

    /// What of containers' whole lives its values come from.
    pub fn asks_whole(&self) -> crate::WholeAsks {
        crate::WholeAsks::of_field(self.def.name)
    }

    /// The field's definition.
    pub fn def(&self) -> &'static FieldDef {
        self.def
    }

    /// The field of this full name, without an argument; none where there is no such field or it needs one.
    pub fn named(name: &str) -> Option<Self> {
        let (def, dotted) = lookup(name)?;
        Self::new(def, dotted, None).ok()
    }

    /// Binds a field to its argument; the error says what is wrong with the argument.
    pub(crate) fn new(
        def: &'static FieldDef,
        dotted: Option<&str>,
        bracketed: Option<&Literal>,
    ) -> Result<Self, &'static str> {
        let given = dotted.map(str::as_bytes).or(bracketed.map(|literal| literal.bytes.as_slice()));
        let arg = match (def.arg, given) {
            (ArgRule::Never, Some(_)) => return Err("takes no argument"),
            (ArgRule::MustKey | ArgRule::MustName, None) => return Err("needs an argument in brackets"),
            (ArgRule::Never | ArgRule::MayIndex | ArgRule::MayKey, None) => FieldArg::None,
            (ArgRule::MayIndex, Some(bytes)) => {
                FieldArg::Index(number(bytes).ok_or("takes a number in brackets")?)
            }
            (_, Some(bytes)) => number(bytes).map_or_else(|| FieldArg::Key(bytes.into()), FieldArg::Index),
        };
        Ok(Self { def, arg })
    }

    /// Several values can come of it with the argument it has: `proc.aname[2]` is one.
    pub fn multi(&self) -> Multi {
        match (self.def.multi, &self.arg) {
            (Multi::Ancestors, FieldArg::None) => Multi::Ancestors,
            (Multi::Ancestors, _) => Multi::One,
            (multi, _) => multi,
        }
    }

    /// The value at an event; `None` where it has none. Comparisons may see what Falco has in the place of none.
    pub fn get<'c>(&self, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
        match self.def.id {
            FieldId::Evt(field) => evt::get(field, &self.arg, cx),
            FieldId::Process(field) => process::get(field, &self.arg, cx),
            FieldId::Thread(field) => thread::get(field, &self.arg, cx),
            FieldId::Fd(field) => fd::get(field, &self.arg, cx),
            FieldId::Path(field) => path::get(field, cx),
            FieldId::File(field) => file::get(field, cx),
            FieldId::Find(field) => find::get(field, cx),
            FieldId::Net(field) => net::get(field, cx),
            FieldId::User(field) => user::get(field, cx),
            FieldId::Container(field) => container::get(field, &self.arg, cx),
            FieldId::Alert(field) => alert::get(field, cx),
            FieldId::Absent => None,
        }
    }

    /// What comparisons see: the value, or the empty text that Falco has in its place.
    pub(crate) fn compared<'c>(&self, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
        let is_empty = || match self.def.id {
            FieldId::Process(field) => process::is_empty(field, &self.arg, cx),
            FieldId::Fd(field) => fd::is_empty(field, cx),
            _ => false,
        };
        self.get(cx).or_else(|| is_empty().then(|| Value::text(b"")))
    }

    /// Whether it has a value that tells something: what Falco has in the place of nothing (`<NA>`, `none`, an empty text)
    /// can be compared, but is not there.
    pub(crate) fn exists(&self, cx: &EventContext<'_>) -> bool {
        self.get(cx).is_some_and(|value| {
            let is_nothing = |nothing: &[u8]| *value.to_bytes() == *nothing;
            !value.each().is_empty() && !self.stand_in().is_some_and(is_nothing)
        })
    }

    /// What stands in its place where nothing is known.
    pub(crate) fn stand_in(&self) -> Option<&'static [u8]> {
        match self.def.id {
            FieldId::Process(
                process::Proc::Name
                | process::Proc::StdinType
                | process::Proc::StdoutType
                | process::Proc::StderrType,
            )
            | FieldId::Fd(fd::Fd::L4proto | fd::Fd::Type | fd::Fd::Types)
            | FieldId::User(
                user::User::Name | user::User::Homedir | user::User::Loginname | user::User::GroupName,
            ) => Some(b"<NA>"),
            FieldId::Container(container::Container::Mount) => Some(b"none"),
            _ => None,
        }
    }

    /// Whether it is a property of the process (or container) alone, so that `within` can ask ancestors for it.
    pub(crate) fn is_of_process(&self) -> bool {
        matches!(
            self.def.id,
            FieldId::Process(_)
                | FieldId::Thread(_)
                | FieldId::User(_)
                | FieldId::Container(_)
                | FieldId::Alert(_)
                | FieldId::Absent
        )
    }

    /// Whether its values are modes of files.
    pub(crate) fn is_mode(&self) -> bool {
        matches!(self.def.id, FieldId::Evt(evt::Evt::Arg | evt::Evt::Rawarg))
            && matches!(&self.arg, FieldArg::Key(name) if &**name == b"mode")
    }

    /// Whether it is the event's type.
    pub(crate) fn is_event_type(&self) -> bool {
        self.def.name == "evt.type" || self.def.name == "syscall.type"
    }
}

fn number(bytes: &[u8]) -> Option<usize> {
    std::str::from_utf8(bytes).ok()?.parse().ok().filter(|n| *n < 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_known_families() {
        let mut names: Vec<_> = fields().map(|def| def.name).collect();
        assert!(names.iter().all(|name| in_family(name)));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(fields().all(|def| def.doc.ends_with('.')));
    }

    #[test]
    fn dotted_arguments_are_split_from_the_longest_name() {
        let (def, arg) = lookup("evt.arg.flags").unwrap();
        assert_eq!((def.name, arg), ("evt.arg", Some("flags")));
        assert_eq!(lookup("evt.args").unwrap().0.name, "evt.args");
        assert_eq!(lookup("evt.type.is.open").unwrap().1, Some("open"));
        assert!(lookup("evt.nothing").is_none());
        assert!(lookup("evt.arg.").is_none());
    }
}
