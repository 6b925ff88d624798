//! What the techniques of MITRE ATT&CK that findings point at are called there.

/// By id, in order.
const NAMES: [(&str, &str); 36] = [
    ("T1003.008", "/etc/passwd and /etc/shadow"),
    ("T1014", "Rootkit"),
    ("T1036.004", "Masquerade Task or Service"),
    ("T1040", "Network Sniffing"),
    ("T1041", "Exfiltration Over C2 Channel"),
    ("T1046", "Network Service Discovery"),
    ("T1053.003", "Cron"),
    ("T1055", "Process Injection"),
    ("T1055.008", "Ptrace System Calls"),
    ("T1059", "Command and Scripting Interpreter"),
    ("T1059.004", "Unix Shell"),
    ("T1070.002", "Clear Linux or Mac System Logs"),
    ("T1070.004", "File Deletion"),
    ("T1070.006", "Timestomp"),
    ("T1071", "Application Layer Protocol"),
    ("T1098.004", "SSH Authorized Keys"),
    ("T1105", "Ingress Tool Transfer"),
    ("T1136.001", "Create Local Account"),
    ("T1222.002", "Linux File Permissions Modification"),
    ("T1529", "System Shutdown/Reboot"),
    ("T1543.002", "Systemd Service"),
    ("T1546.004", "Unix Shell Configuration Modification"),
    ("T1547.006", "Kernel Modules and Extensions"),
    ("T1548", "Abuse Elevation Control Mechanism"),
    ("T1548.001", "Setuid and Setgid"),
    ("T1548.003", "Sudo and Sudo Caching"),
    ("T1552.001", "Credentials In Files"),
    ("T1552.003", "Shell History"),
    ("T1552.004", "Private Keys"),
    ("T1552.007", "Container API"),
    ("T1554", "Compromise Host Software Binary"),
    ("T1562.001", "Disable or Modify Tools"),
    ("T1571", "Non-Standard Port"),
    ("T1574.006", "Dynamic Linker Hijacking"),
    ("T1611", "Escape to Host"),
    ("T1620", "Reflective Code Loading"),
];

/// The name of a technique by its id; nothing of those that no finding points at.
pub fn technique(id: &str) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| *known == id).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_technique_that_a_finding_points_at_has_a_name() {
        let sources = [
            include_str!("act.rs"),
            include_str!("files.rs"),
            include_str!("network.rs"),
            include_str!("places.rs"),
            include_str!("privileges.rs"),
            include_str!("programs.rs"),
            include_str!("tried.rs"),
            include_str!("../findings.rs"),
        ];
        let is_id = |word: &&str| {
            word.strip_prefix('T')
                .is_some_and(|rest| rest.len() >= 4 && rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
        };
        let ids: Vec<&str> = sources.iter().flat_map(|text| text.split('"')).filter(is_id).collect();
        assert!(ids.len() > 30, "{ids:?}");
        for id in ids {
            assert!(technique(id).is_some(), "{id}");
        }
        assert!(NAMES.is_sorted_by_key(|(id, _)| *id));
        assert_eq!(technique("T0000"), None);
    }
}
