//! Filters that ask how much went through a connection say what `afterimage net` says.

use crate::run::afterimage;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/intrusion.aftx");

fn count(filter: &str) -> u64 {
    let ran = afterimage(&["grep", "--count", filter, SAMPLE]);
    ran.stdout().trim().parse().expect("a number")
}

#[test]
fn every_act_on_a_connection_tells_what_it_moved_in_all() {
    let container = afterimage(&["ls", SAMPLE, "-o", "jsonl"]).json_lines()[0]["id"].clone();
    let container = container.as_str().expect("an id");
    let rows = afterimage(&["net", container, SAMPLE, "-o", "jsonl"]).json_lines();
    let made: Vec<_> =
        rows.iter().filter(|row| row["protocol"] == "tcp" && row["direction"] == "out").collect();
    assert!(made.len() > 1, "{rows:?}");
    for row in made {
        let acts =
            format!("fd.rip = {} and fd.rport = {}", row["peer_ip"].as_str().unwrap(), row["peer_port"]);
        let moved = format!("net.bytes_out = {} and net.bytes_in = {}", row["sent"], row["received"]);
        let all = count(&acts);
        assert!(all > 3, "{acts}");
        assert_eq!(count(&format!("{acts} and {moved}")), all, "{moved}");
        assert_eq!(count(&moved), all, "{moved}");
    }
    let most = rows.iter().filter_map(|row| row["sent"].as_u64()).max().expect("a row");
    assert!(count(&format!("net.bytes_out >= {most}")) > 0);
    assert_eq!(afterimage(&["grep", &format!("net.bytes_out > {most}"), SAMPLE]).code, 1);
}
