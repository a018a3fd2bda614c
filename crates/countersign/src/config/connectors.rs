//! The ways in: `connectors`, and the password database (`enablePasswordDB`, `staticPasswords`).

use countersign_config::{Item, Section, Value, did_you_mean};
use countersign_connectors::local::{LocalUser, read_users};
use countersign_core::{Connector, ConnectorId};

use super::text_items;

/// The id of the password database, as in `sub`.
pub const LOCAL: &str = "local";

/// `enablePasswordDB: true`.
#[derive(Clone)]
pub struct PasswordDb {
    /// `staticPasswords`; never written to the database.
    pub users: Vec<LocalUser>,
}

#[derive(Default)]
pub struct Upstreams {
    pub connectors: Vec<Connector>,
    pub password_db: Option<PasswordDb>,
    /// Connectors whose `grantTypes` lack `authorization_code`.
    pub without_sign_in: Vec<ConnectorId>,
    /// Of every entry, also of those with a mistake in them, and of the password database.
    pub ids: Vec<String>,
}

pub fn read(root: &Section<'_>) -> Upstreams {
    let local_enabled = root.flag("enablePasswordDB").unwrap_or(false);
    let mut upstreams = Upstreams::default();
    let list = root.item("connectors");
    let entries = list.as_ref().map(Item::items).unwrap_or_default();
    for section in entries.iter().filter_map(Item::section) {
        let serves_sign_in = serves_sign_in(&section);
        let connector = read_connector(&section, local_enabled, &mut upstreams.ids);
        section.finish();
        if let Some(connector) = connector.as_ref().filter(|_| !serves_sign_in) {
            upstreams.without_sign_in.push(connector.id.clone());
        }
        upstreams.connectors.extend(connector);
    }
    // What is no list at all was complained of already.
    let is_list = list.is_none_or(|list| matches!(list.node.value, Value::List(_)));
    if is_list && entries.is_empty() && !local_enabled {
        let why = "is empty: nobody could sign in; add a connector or set enablePasswordDB: true";
        root.error("connectors", why);
    }
    let sections = root.sections("staticPasswords");
    let given = !sections.is_empty();
    let users = read_users(sections);
    if given && !local_enabled {
        root.error("staticPasswords", "needs enablePasswordDB: true");
    }
    if local_enabled {
        upstreams.ids.push(LOCAL.to_owned());
        upstreams.password_db = Some(PasswordDb { users });
    }
    upstreams
}

fn read_connector(
    section: &Section<'_>,
    local_enabled: bool,
    ids: &mut Vec<String>,
) -> Option<Connector> {
    let kind = section.required_text("type");
    let id = section.required_text("id");
    let name = section.required_text("name");
    let config = section.section("config");
    if let Some(id) = &id {
        check_id(section, id, local_enabled, ids);
        ids.push(id.clone());
    }
    let kind = kind?;
    if let Err(why) = countersign_connectors::check_kind(&kind, config.is_some()) {
        section.error("type", why);
        return None;
    }
    // Read also without id or name, so that all problems are told at once.
    let named = id.is_some() && name.is_some();
    let id = ConnectorId::new(id.unwrap_or_default());
    let connector = countersign_connectors::read(&kind, id, name.unwrap_or_default(), config);
    connector.filter(|_| named)
}

/// The id stands in `sub` and, percent-encoded, in paths.
fn check_id(section: &Section<'_>, id: &str, local_enabled: bool, ids: &[String]) {
    let plain = |c: char| (c.is_ascii_graphic() || c == ' ') && !"/\\?#%\"<>".contains(c);
    if !id.chars().all(plain) || id == "." || id == ".." || id.trim() != id {
        let expected = "a path segment: printable ASCII without / \\ ? # % \" < >, and no space at its ends";
        section.error("id", format!("found {id:?}, expected {expected}"));
    } else if local_enabled && id == LOCAL {
        section
            .error("id", "is the id of the password database (enablePasswordDB), expected another");
    } else if ids.iter().any(|other| other == id) {
        section.error("id", format!("{id} is the id of another connector above"));
    }
}

/// `grantTypes` limits a connector to grant types, as in Dex. An empty list is no limit. Without
/// `authorization_code` nobody signs in through the connector.
fn serves_sign_in(section: &Section<'_>) -> bool {
    let items = text_items(section, "grantTypes");
    for (item, text) in &items {
        if !GRANT_TYPES.contains(&text.as_str()) {
            let near = did_you_mean(text, GRANT_TYPES);
            item.error(format!("found {text:?}, which is not a grant type{near}"));
        }
    }
    let serves = items.is_empty() || items.iter().any(|(_, text)| text == "authorization_code");
    if !serves {
        let why = "does not contain authorization_code: nobody can sign in through this connector";
        section.warning("grantTypes", why);
    }
    serves
}

/// RFC 6749 sections 1.3.1, 1.5, 1.3.3; RFC 8628; RFC 8693.
const GRANT_TYPES: [&str; 5] = [
    "authorization_code",
    "refresh_token",
    "password",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:token-exchange",
];
