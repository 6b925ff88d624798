//! `user.*` and `group.*`: whose rights the process has.
//!
//! Names are those that a recorded read of the container's /etc/passwd or /etc/group has shown; number 0 is root
//! without that. Any other user whose number is known has the name `<NA>`, Falco's text for a user without an entry,
//! so that `user.name != root` holds for it.

use super::family;
use crate::{
    context::EventContext,
    facts::{Account, Process},
    value::Value,
};

family! {
    /// Users and groups.
    User as User {
        Uid = "user.uid", Number, One, Never: "Effective user id.";
        Name = "user.name", Text, One, Never:
            "The user's name, where a read of the container's /etc/passwd was recorded (its first lines); `root` for \
             uid 0; else `<NA>`.";
        Homedir = "user.homedir", Text, One, Never: "`/root` for uid 0, else `<NA>`: home directories are not recorded.";
        Loginuid = "user.loginuid", Number, One, Never: "Audit login user id; -1 when there was no login.";
        Loginname = "user.loginname", Text, One, Never: "As `user.name`, of the audit login user.";
        Gid = "group.gid", Number, One, Never: "Effective group id.";
        GroupName = "group.name", Text, One, Never:
            "The group's name, where a read of the container's /etc/group was recorded (its first lines); `root` for \
             gid 0; else `<NA>`.";
    }
}

pub(super) fn get<'c>(field: User, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
    let process: &Process<'_> = cx.process()?;
    let named = |id: Option<u32>, account: fn(u32) -> Account| {
        let id = id?;
        let root = (id == 0).then_some(&b"root"[..]);
        Some(Value::text(cx.facts().account(cx.container(), account(id)).or(root).unwrap_or(b"<NA>")))
    };
    match field {
        User::Uid => process.euid.map(Value::number),
        User::Name => named(process.euid, Account::User),
        User::Homedir => Some(Value::text(if process.euid? == 0 { b"/root" } else { b"<NA>" })),
        User::Loginuid => {
            process.loginuid.map(|uid| if uid == u32::MAX { Value::number(-1) } else { Value::number(uid) })
        }
        User::Loginname => named(process.loginuid, Account::User),
        User::Gid => process.egid.map(Value::number),
        User::GroupName => named(process.egid, Account::Group),
    }
}
