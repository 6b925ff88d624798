//! `user.*` and `group.*`: whose rights the process has.
//!
//! The names in a container's /etc/passwd are not recorded: besides uid 0 a user has a number and the name `<NA>`,
//! which is Falco's text for a user without an entry (so that `user.name != root` holds for it).

use super::family;
use crate::{context::EventContext, facts::Process, value::Value};

family! {
    /// Users and groups.
    User as User {
        Uid = "user.uid", Number, One, Never: "Effective user id.";
        Name = "user.name", Text, One, Never:
            "`root` for uid 0, else `<NA>`: names of /etc/passwd are not recorded.";
        Homedir = "user.homedir", Text, One, Never: "`/root` for uid 0, else `<NA>`: /etc/passwd is not recorded.";
        Loginuid = "user.loginuid", Number, One, Never: "Audit login user id; -1 when there was no login.";
        Loginname = "user.loginname", Text, One, Never:
            "`root` for login uid 0, else `<NA>`: names of /etc/passwd are not recorded.";
        Gid = "group.gid", Number, One, Never: "Effective group id.";
        GroupName = "group.name", Text, One, Never:
            "`root` for gid 0, else `<NA>`: names of /etc/group are not recorded.";
    }
}

pub(super) fn get<'c>(field: User, cx: &'c EventContext<'_>) -> Option<Value<'c>> {
    let process: &Process<'_> = cx.process()?;
    let named = |id: Option<u32>, name: &'static str| {
        Some(Value::text(if id? == 0 { name.as_bytes() } else { b"<NA>" }))
    };
    match field {
        User::Uid => process.euid.map(Value::number),
        User::Name => named(process.euid, "root"),
        User::Homedir => named(process.euid, "/root"),
        User::Loginuid => {
            process.loginuid.map(|uid| if uid == u32::MAX { Value::number(-1) } else { Value::number(uid) })
        }
        User::Loginname => named(process.loginuid, "root"),
        User::Gid => process.egid.map(Value::number),
        User::GroupName => named(process.egid, "root"),
    }
}
