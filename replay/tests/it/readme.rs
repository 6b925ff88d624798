//! The README's table of commands is what the program has: no verb missing, none invented.

use std::collections::BTreeSet;

use crate::run::afterimage;

#[test]
fn readme_names_every_verb_and_no_other() {
    let readme = include_str!("../../../README.md");
    let told: BTreeSet<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `afterimage "))
        .filter_map(|rest| rest.split([' ', '`']).next())
        .collect();
    let help = afterimage(&["--help"]);
    let listed: BTreeSet<&str> = help
        .stdout()
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // A description that goes on in the next line is indented further.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(!listed.is_empty(), "{}", help.stdout());
    assert_eq!(told, listed, "the README's table of commands (left) is not what the program has");
}
