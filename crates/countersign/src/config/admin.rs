//! `admin`: the administrators, and the contact shown to a blocked user.

use countersign_config::{Item, Section, Value, did_you_mean};
use countersign_core::{Client, ClientId, ConnectorId};
use countersign_issuer::admin::{AdminGroup, AdminPolicy};

/// Without the block there are no administrators. A group is configured with its connector, because the same group name
/// in another directory is a different group.
pub fn read(root: &Section<'_>, clients: &[Client], connectors: &[String]) -> AdminPolicy {
    let Some(section) = root.section("admin") else { return AdminPolicy::default() };
    let groups = section.items("groups");
    let groups = groups.iter().filter_map(|item| read_group(item, connectors)).collect();
    let named = super::text_items(&section, "clients");
    for (item, id) in &named {
        if !clients.iter().any(|client| client.id.as_str() == id) {
            let near = did_you_mean(id, clients.iter().map(|client| client.id.as_str()));
            item.error(format!("{id:?} is no client in this file{near}"));
        }
    }
    let contact = section.text("contact").filter(|contact| !contact.trim().is_empty());
    section.finish();
    let clients = named.iter().map(|(_, id)| ClientId::new(id)).collect();
    AdminPolicy { groups, clients, contact }
}

fn read_group(item: &Item<'_>, connectors: &[String]) -> Option<AdminGroup> {
    if let Value::Scalar { .. } = item.node.value {
        item.error(
            "names a group without its connector, which any directory could answer for, \
             expected {connector: …, group: …}",
        );
        return None;
    }
    let entry = item.section()?;
    let (connector, group) = (entry.required_text("connector"), entry.required_text("group"));
    if let Some(id) = connector.as_ref().filter(|id| !connectors.contains(*id)) {
        let near = did_you_mean(id, connectors.iter().map(String::as_str));
        entry.error("connector", format!("{id:?} is no connector in this file{near}"));
    }
    entry.finish();
    Some(AdminGroup { connector: ConnectorId::new(connector?), group: group? })
}
