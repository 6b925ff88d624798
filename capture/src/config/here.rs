//! What a configuration asks of the machine it is used on, and what `run` would stumble over: looked at without recording.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::Path,
};

use super::{Config, Origin, Problem, ProblemKind, Settings};
use crate::{
    control::peer,
    live::watch,
    webhook::{self, Webhook},
};

/// All that this machine does not have for it.
pub fn problems(config: &Config, settings: &Settings) -> Vec<Problem> {
    let mut found: Vec<(&str, String)> = Vec::new();
    if let Some(group) = config.api.group.as_deref().filter(|_| config.api.enabled)
        && peer::group_id(group).is_none()
    {
        found.push(("api.group", format!("there is no group `{group}`")));
    }
    found.extend(store_refused(&config.record.store).map(|why| ("store.path", why)));
    found.extend(watch::check(&config.rules).err().map(|error| ("rules.files", told(&error))));
    if config.webhook.enabled {
        found.extend(Webhook::new(&config.webhook).err().map(|error| ("webhook.enabled", told(&error))));
        let tls = webhook::tls::acceptor(&config.webhook);
        found.extend(tls.err().map(|error| ("webhook.tls_cert", told(&error))));
    }
    let problem = |(key, problem): (&str, String)| Problem {
        at: settings.get(key).map_or(Origin::Default, |(_, origin)| origin.clone()),
        kind: ProblemKind::Conflict { key: key.to_owned(), problem },
    };
    found.into_iter().map(problem).collect()
}

fn told(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(ToString::to_string).filter(|cause| !error.to_string().contains(cause));
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// Why nothing can be recorded into a directory; `None` where it can, as far as that can be seen from here.
pub fn store_refused(store: &Path) -> Option<String> {
    match fs::metadata(store) {
        Ok(meta) if !meta.is_dir() => Some(format!("`{}` is no directory", store.display())),
        Ok(_) => store_of_another(store),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Where it would be made: a name of our own is tried, and taken away.
            let parent = store.parent().filter(|parent| !parent.as_os_str().is_empty());
            let probe = parent.unwrap_or(Path::new(".")).join(format!(".afterimage-{}", std::process::id()));
            match fs::DirBuilder::new().mode(0o700).create(&probe) {
                Ok(()) => fs::remove_dir(&probe).err().map(|error| error.to_string()),
                Err(error) => Some(format!("`{}` cannot be made: {error}", store.display())),
            }
        }
        Err(error) => Some(format!("`{}` cannot be looked at: {error}", store.display())),
    }
}

/// Whose a store is, where it is neither root's nor the recorder's: who could change and remove what is recorded.
pub fn store_of_another(store: &Path) -> Option<String> {
    let (owner, own) = (fs::metadata(store).ok()?.uid(), rustix::process::geteuid().as_raw());
    // One who is not root and looks at a store of another only asks.
    let is_others = own == 0 && owner != 0;
    is_others.then(|| {
        let store = store.display();
        format!("`{store}` belongs to user {owner}, who could change and remove what is recorded; make it root's (chown)")
    })
}

/// Who besides its owner may change a store; `None` where nobody may, or there is none yet.
pub fn store_open(store: &Path) -> Option<String> {
    let meta = fs::metadata(store).ok()?;
    let who = match meta.mode() & 0o022 {
        0 => return None,
        0o020 => format!("group {}", meta.gid()),
        _ => "everybody".to_owned(),
    };
    // With the sticky bit nobody removes what is another's, but makes files beside it.
    let what =
        if meta.mode() & 0o1000 == 0 { "remove and replace what is recorded" } else { "put files beside it" };
    Some(format!("`{}` may be written by {who}, who can {what}", store.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::Sources;

    fn wrong(flags: &[(&str, &str)]) -> Vec<String> {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), "--set".to_owned(), (*value).to_owned());
        let sources = Sources { flags: flags.iter().map(own).collect(), ..Sources::default() };
        let (config, settings) = Config::load(&sources).unwrap();
        problems(&config, &settings).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_this_machine_lacks_is_named_by_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let store = ("store.path", &*at("store"));
        assert_eq!(wrong(&[store]), Vec::<String>::new());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
        let group = wrong(&[store, ("api.group", "nosuch")]);
        assert_eq!(group, ["--set: `api.group`: there is no group `nosuch`"]);
        assert!(wrong(&[store, ("api.group", "nosuch"), ("api.enabled", "false")]).is_empty());
        assert!(wrong(&[("store.path", &at("no/such"))])[0].contains("cannot be made"));
        assert!(wrong(&[("store.path", "/dev/null")])[0].contains("is no directory"));
        assert!(wrong(&[("store.path", "/dev/null/x")])[0].contains("cannot be looked at"));
        let rules = wrong(&[store, ("rules.files", &at("missing.yaml"))]);
        assert!(rules.len() == 1 && rules[0].contains("missing.yaml"), "{rules:?}");
        let hook = wrong(&[store, ("webhook.enabled", "true"), ("webhook.token_file", &at("tokens"))]);
        assert!(hook.len() == 1 && hook[0].contains("tokens"), "{hook:?}");
    }

    #[test]
    fn a_store_that_others_may_change_is_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let open = |mode: u32| {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            store_open(dir.path())
        };
        assert_eq!((open(0o700), open(0o755)), (None, None));
        assert!(open(0o770).unwrap().contains("by group "));
        assert!(open(0o777).unwrap().ends_with("by everybody, who can remove and replace what is recorded"));
        assert!(open(0o1777).unwrap().ends_with("put files beside it"));
        assert_eq!(store_open(&dir.path().join("none")), None);
    }
}
