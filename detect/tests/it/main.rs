//! Integration tests of the filter language and the rule engine.

mod parse_cases;
mod print_round_trip;
