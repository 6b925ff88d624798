//! Integration tests of the filter language and the rule engine.

mod absent;
mod acts;
mod falco_rules;
mod matching;
mod modes;
mod parse_cases;
mod print_round_trip;
mod reference;
mod rows;
mod rule_files;
mod samples;
mod scene;
mod whole;
