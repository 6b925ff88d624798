//! What is in `packaging/`: that it fits the programs, and gives away no more than they need.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use serde_json::{Value, json};

use crate::{harness::RECORDER, helm};

fn packaging(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(packaging(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn recorder(args: &[&str]) -> String {
    let output = Command::new(RECORDER).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The keys of a unit, in order.
fn unit(text: &str) -> Vec<(&str, &str)> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect()
}

#[test]
fn the_default_configuration_is_the_reference() {
    assert_eq!(
        read("config.toml"),
        recorder(&["config", "reference"]),
        "packaging/config.toml: afterimaged config reference > packaging/config.toml"
    );
}

#[test]
fn the_unit_starts_what_there_is_and_keeps_to_what_it_needs() {
    let text = read("systemd/afterimaged.service");
    let unit = unit(&text);
    let all =
        |key: &str| unit.iter().filter(|(own, _)| *own == key).map(|(_, value)| *value).collect::<Vec<_>>();
    assert_eq!(all("Type"), ["notify"]);
    // Whatever ends it, it is started again; a configuration that cannot be used is not tried for ever.
    assert_eq!((all("Restart"), all("StartLimitIntervalSec")), (vec!["always"], vec!["0"]));
    assert_eq!(
        (all("RestartPreventExitStatus"), all("RequiresMountsFor")),
        (vec!["2"], vec!["/var/lib/afterimage"])
    );
    assert!(all("WatchdogSec")[0].parse::<u32>().unwrap() >= 10);
    let start = all("ExecStart")[0];
    let args: Vec<&str> = start.split(' ').skip(1).collect();
    assert_eq!(args, ["run", "--config", "/etc/afterimage/config.toml"]);
    let help = recorder(&["run", "--help"]);
    assert!(args.iter().filter(|arg| arg.starts_with("--")).all(|flag| help.contains(flag)), "{help}");
    let capabilities: BTreeSet<&str> = all("CapabilityBoundingSet")[0].split(' ').collect();
    for refused in ["CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_NET_ADMIN", "CAP_DAC_OVERRIDE", "CAP_SYS_RAWIO"] {
        assert!(!capabilities.contains(refused), "{refused}");
    }
}

#[test]
fn the_units_exposure_is_at_most_three() {
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(packaging("systemd/afterimaged.service"))
        .output();
    let Ok(output) = output else {
        // The unit's own keys are checked above; the figure is systemd's.
        println!("no systemd-analyze here: no figure");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text
        .lines()
        .find(|line| line.contains("Overall exposure level"))
        .unwrap_or_else(|| panic!("{output:?}"));
    println!("{line}");
    let figure: f64 = line.split(' ').find_map(|word| word.parse().ok()).unwrap();
    assert!(figure <= 3.0, "{line}");
}

/// The chart's manifests with these values changed.
fn chart(change: impl FnOnce(&mut Value)) -> (String, Vec<Value>) {
    let mut values = helm::yaml(&read("helm/afterimage/values.yaml")).remove(0);
    change(&mut values);
    let about = helm::yaml(&read("helm/afterimage/Chart.yaml")).remove(0);
    let scope = json!({
        "Values": values,
        "Release": { "Name": "afterimage", "Namespace": "afterimage" },
        "Chart": { "AppVersion": about["appVersion"] },
    });
    let mut names: Vec<_> = fs::read_dir(packaging("helm/afterimage/templates"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    let mut all = String::new();
    for name in names {
        let rendered = helm::render(&fs::read_to_string(&name).unwrap(), &scope);
        if !rendered.trim().is_empty() {
            all += &format!("---\n{}\n", rendered.trim());
        }
    }
    let manifests = helm::yaml(&all);
    (all, manifests)
}

fn of_kind<'a>(manifests: &'a [Value], kind: &str) -> Option<&'a Value> {
    manifests.iter().find(|manifest| manifest["kind"] == kind)
}

#[test]
fn the_plain_manifests_are_the_charts() {
    let (rendered, _) = chart(|_| {});
    let head = "# Made of packaging/helm with its default values; a test compares.\n";
    let expected = format!("{head}{rendered}");
    if std::env::var_os("AFTERIMAGE_RENDER").is_some() {
        fs::write(packaging("kubernetes/afterimage.yaml"), &expected).unwrap();
    }
    assert_eq!(read("kubernetes/afterimage.yaml"), expected, "AFTERIMAGE_RENDER=1 writes it");
}

#[test]
fn the_daemon_set_has_capabilities_and_no_privileges() {
    let (_, manifests) = chart(|_| {});
    let pod = &of_kind(&manifests, "DaemonSet").unwrap()["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let security = &container["securityContext"];
    assert_eq!(security["privileged"], false);
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
    // The same as the unit's: one program, one need.
    let text = read("systemd/afterimaged.service");
    let bounding = unit(&text).iter().find(|(key, _)| *key == "CapabilityBoundingSet").unwrap().1.to_owned();
    let of_unit: BTreeSet<String> =
        bounding.split(' ').map(|name| name.trim_start_matches("CAP_").to_owned()).collect();
    let added = security["capabilities"]["add"].as_array().unwrap();
    let of_pod: BTreeSet<String> = added.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    assert_eq!(of_pod, of_unit);
    assert_eq!(
        (&pod["hostPID"], &pod["hostNetwork"], &pod["hostIPC"]),
        (&json!(true), &Value::Null, &Value::Null)
    );
    assert_eq!(pod["automountServiceAccountToken"], false);
    // Everything of the node but the store and what outlives the recorder in the kernel is read only; every mount has its volume.
    let volumes: BTreeSet<&str> =
        pod["volumes"].as_array().unwrap().iter().map(|volume| volume["name"].as_str().unwrap()).collect();
    for mount in container["volumeMounts"].as_array().unwrap() {
        let name = mount["name"].as_str().unwrap();
        assert!(volumes.contains(name), "{mount}");
        assert!(mount["readOnly"] == true || ["store", "run", "bpf"].contains(&name), "{mount}");
    }
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/healthz");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
}

#[test]
fn the_charts_configuration_is_one_that_the_recorder_takes() {
    let switch = |values: &mut Value, on: bool| {
        values["webhook"]["enabled"] = on.into();
        values["rules"]["enabled"] = on.into();
        values["metrics"]["podMonitor"] = on.into();
        values["metrics"]["prometheusRule"] = on.into();
    };
    for on in [false, true] {
        let (_, manifests) = chart(|values| switch(values, on));
        let text = of_kind(&manifests, "ConfigMap").unwrap()["data"]["config.toml"].as_str().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        fs::write(&file, text).unwrap();
        // Right by itself: this machine has none of what it names.
        recorder(&["config", "dump", "--config", file.to_str().unwrap()]);
        assert_eq!(text.contains("[webhook]"), on, "{text}");
        assert_eq!(of_kind(&manifests, "PodMonitor").is_some(), on);
        let ingress =
            of_kind(&manifests, "NetworkPolicy").unwrap()["spec"]["ingress"].as_array().unwrap().len();
        assert_eq!(ingress, 1 + usize::from(on));
        let pod = &of_kind(&manifests, "DaemonSet").unwrap()["spec"]["template"]["spec"];
        let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
        let secret = mounts.iter().any(|mount| mount["mountPath"] == "/run/secrets/afterimage");
        assert_eq!(secret, on);
        // A single file of a config map stays as it was when the pod began, and a mount inside one cannot be made.
        assert!(mounts.iter().all(|mount| mount["subPath"].is_null()), "{mounts:?}");
        let config =
            mounts.iter().find(|mount| mount["name"] == "config").unwrap()["mountPath"].as_str().unwrap();
        let args = pod["containers"][0]["args"].as_array().unwrap();
        assert_eq!(args.last().unwrap(), &json!(format!("{config}/config.toml")));
        let inside = format!("{config}/");
        let below = |mount: &&Value| mount["mountPath"].as_str().unwrap().starts_with(&inside);
        assert_eq!(mounts.iter().find(below), None);
    }
}

#[test]
fn the_charts_alerts_are_those_that_the_manual_says_to_watch() {
    let (_, manifests) = chart(|values| values["metrics"]["prometheusRule"] = true.into());
    let groups = &of_kind(&manifests, "PrometheusRule").unwrap()["spec"]["groups"];
    let alerts = groups[0]["rules"].as_array().unwrap();
    let asked: Vec<&str> = alerts.iter().map(|alert| alert["expr"].as_str().unwrap()).collect();
    let manual = fs::read_to_string(packaging("../docs/operations.md")).unwrap().replace("\\|", "|");
    let told = manual.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let told: Vec<&str> =
        told.map(|(first, _)| first).filter(|text| text.contains(" > ") || text.contains(" < ")).collect();
    assert_eq!(asked, told);
    assert!(alerts.iter().all(|alert| alert["annotations"]["summary"].is_string()), "{alerts:?}");
}

#[test]
fn the_image_has_both_programs_and_nothing_else() {
    let text = read("oci/Containerfile");
    let stages: Vec<&str> = text.lines().filter(|line| line.starts_with("FROM ")).collect();
    assert_eq!(stages.last(), Some(&"FROM scratch"), "{stages:?}");
    let last = text.rsplit("FROM scratch").next().unwrap();
    assert!(
        last.contains("/src/target/release/afterimaged /src/target/release/afterimage /usr/bin/"),
        "{last}"
    );
    assert!(!last.contains("RUN "), "there is no shell: {last}");
    for source in last.lines().filter_map(|line| line.strip_prefix("COPY packaging/")) {
        assert!(packaging(source.split(' ').next().unwrap()).exists(), "{source}");
    }
}

#[test]
fn the_debian_package_has_files_that_exist_or_are_made() {
    let manifest: toml::Value = include_str!("../../Cargo.toml").parse::<toml::Table>().unwrap().into();
    let deb = &manifest["package"]["metadata"]["deb"];
    let mut targets = BTreeSet::new();
    for asset in deb["assets"].as_array().unwrap() {
        let [source, target, mode] = asset.as_array().unwrap().as_slice() else { panic!("{asset}") };
        let (source, mode) = (source.as_str().unwrap(), mode.as_str().unwrap());
        targets.insert(target.as_str().unwrap().to_owned());
        assert!(["644", "755"].contains(&mode), "{asset}");
        // What is built, and what `cargo xtask package` has the programs write.
        let made =
            source.starts_with("target/release/afterimage") || source.starts_with("../target/package/");
        assert!(made || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(source).exists(), "{source}");
    }
    for wanted in ["usr/bin/", "usr/share/man/man8/", "usr/share/man/man1/", "etc/afterimage/config.toml"] {
        assert!(targets.contains(wanted), "{wanted}: {targets:?}");
    }
    // Recording begins when somebody says so, and ends with the package.
    let scripts = deb["maintainer-scripts"].as_str().unwrap();
    let script = |name: &str| {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(scripts).join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    assert!(script("prerm").contains("stop afterimaged.service"));
    assert!(["systemctl enable", "systemctl start"].iter().all(|verb| !script("postinst").contains(verb)));
    for name in ["postinst", "prerm", "postrm"] {
        // Where the package is tried below another root, this machine's recorder is none of its business.
        let told = script(name).lines().filter(|line| line.contains("/run/systemd/system")).count();
        assert_eq!(
            script(name).matches("[ -z \"${DPKG_ROOT:-}\" ] && [ -d /run/systemd/system ]").count(),
            told
        );
    }
    // The manual has a page for each verb.
    let dir = tempfile::tempdir().unwrap();
    recorder(&["man", dir.path().to_str().unwrap()]);
    let pages: BTreeSet<String> =
        fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    for page in ["afterimaged.8", "afterimaged-run.8", "afterimaged-pin.8", "afterimaged-tail.8"] {
        assert!(pages.contains(page), "{page}: {pages:?}");
    }
    let run = fs::read_to_string(dir.path().join("afterimaged-run.8")).unwrap();
    assert!(run.contains(".TH afterimaged-run 8") && run.contains("\\-\\-data\\-ring"), "{run}");
    assert!(recorder(&["completions", "bash"]).contains("complete -F"), "a script for bash");
}
