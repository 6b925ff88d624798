//! The official stable Falco rules load as they are.

#[cfg(falco_rules)]
pub(crate) const PATH: &str = env!("FALCO_RULES");
#[cfg(not(falco_rules))]
pub(crate) const PATH: &str = "";

use afterimage_detect::{Mode, RuleSet, syntax};

#[test]
#[cfg_attr(not(falco_rules), ignore = "needs the official Falco rules: set AFTERIMAGE_FALCO_RULES")]
fn all_stable_rules_load_without_a_warning() {
    let rules = RuleSet::load(&[PATH]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(rules.rules().len(), 25);
    assert_eq!(rules.warnings(), [], "{:#?}", rules.warnings());
    for rule in rules.rules() {
        assert!(rule.enabled && !rule.description.is_empty());
        let codes = rule.codes().unwrap_or_else(|| panic!("`{}` matches any event", rule.name));
        assert!(!codes.is_empty(), "`{}` matches no event", rule.name);
        let condition = rule.condition();
        let tree =
            syntax::parse(&condition, Mode::Strict).unwrap_or_else(|error| panic!("{condition}: {error}"));
        assert_eq!(syntax::print(&tree), condition);
    }
}
