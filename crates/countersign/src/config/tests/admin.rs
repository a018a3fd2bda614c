//! `admin`.

use super::{config, problems};

const CLIENT: &str = "staticClients: [{id: ops, name: Ops, secret: s, redirectURIs: ['https://ops.example.com/cb']}]";

#[test]
fn administrators_are_a_group_of_one_connector() {
    let config = config(&format!(
        "{CLIENT}\nadmin: {{groups: [{{connector: mock, group: admins}}], clients: [ops]}}"
    ));
    let [admins] = config.admin.groups.as_slice() else { panic!("one group") };
    assert_eq!((admins.connector.as_str(), admins.group.as_str()), ("mock", "admins"));
    assert_eq!(config.admin.clients[0].as_str(), "ops");
    assert_eq!(config.admin.contact, None);
}

#[test]
fn the_contact_for_blocked_users_is_a_text() {
    let named = config(&format!("{CLIENT}\nadmin: {{contact: helpdesk@example.com}}"));
    assert_eq!(named.admin.contact.as_deref(), Some("helpdesk@example.com"));
}

#[test]
fn a_group_without_a_connector_is_refused() {
    let problems = problems(&format!("{CLIENT}\nadmin: {{groups: [admins]}}"));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("admin.groups[0]: names a group without its connector"));
}

#[test]
fn administrators_must_name_existing_clients_and_connectors() {
    let problems = problems(&format!(
        "{CLIENT}\nadmin: {{groups: [{{connector: mok, group: a}}, {{group: b}}], clients: [opps]}}"
    ));
    let has = |part: &str| problems.iter().any(|line| line.contains(part));
    assert!(has(
        "admin.groups[0].connector: \"mok\" is no connector in this file, did you mean mock?"
    ));
    assert!(has("admin.groups[1]"), "{problems:?}");
    assert!(has("admin.clients[0]: \"opps\" is no client in this file, did you mean ops?"));
}
