//! Integration tests of the filter language and the rule engine.

mod falco_rules;
mod parse_cases;
mod print_round_trip;
