//! `connectors`, the password database (`enablePasswordDB`, `staticPasswords`), and building connectors stored in the
//! database.

use std::collections::HashMap;

use countersign_config::{Item, Problems, Section, Severity, Value, did_you_mean, parse_yaml};
use countersign_connectors::local::{LocalUser, read_users};
use countersign_core::{Connector, ConnectorFactory, ConnectorId, GrantType, StoredConnector};

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
    /// The grant types that connectors with `grantTypes` are limited to.
    pub grant_types: HashMap<ConnectorId, Vec<GrantType>>,
    /// The ids of all entries, including those with errors, and of the password database.
    pub ids: Vec<String>,
}

pub fn read(root: &Section<'_>) -> Upstreams {
    let local_enabled = root.flag("enablePasswordDB").unwrap_or(false);
    let mut upstreams = Upstreams::default();
    let list = root.item("connectors");
    let entries = list.as_ref().map(Item::items).unwrap_or_default();
    for section in entries.iter().filter_map(Item::section) {
        let grant_types = read_grant_types(&section);
        let connector = read_connector(&section, local_enabled, &mut upstreams.ids);
        section.finish();
        if let (Some(connector), Some(grant_types)) = (&connector, grant_types) {
            upstreams.grant_types.insert(connector.id.clone(), grant_types);
        }
        upstreams.connectors.extend(connector);
    }
    // A value that is not a list has already been reported.
    let is_list = list.is_none_or(|list| matches!(list.node.value, Value::List(_)));
    if is_list && entries.is_empty() && !local_enabled {
        let reason =
            "is empty: nobody could sign in; add a connector or set enablePasswordDB: true";
        root.error("connectors", reason);
    }
    let sections = root.sections("staticPasswords");
    let is_configured = !sections.is_empty();
    let users = read_users(sections);
    if is_configured && !local_enabled {
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
    if let Err(reason) = countersign_connectors::check_kind(&kind, config.is_some()) {
        section.error("type", reason);
        return None;
    }
    // Read even without id or name, so that all problems are reported at once.
    let named = id.is_some() && name.is_some();
    let id = ConnectorId::new(id.unwrap_or_default());
    let connector = countersign_connectors::read(&kind, id, name.unwrap_or_default(), config);
    connector.filter(|_| named)
}

/// The id is used in `sub` and, percent-encoded, in paths.
fn check_id(section: &Section<'_>, id: &str, local_enabled: bool, ids: &[String]) {
    let plain = |c: char| (c.is_ascii_graphic() || c == ' ') && !"/\\?#%\"<>".contains(c);
    if !id.chars().all(plain) || id == "." || id == ".." || id.trim() != id {
        let expected =
            "a path segment: printable ASCII without / \\ ? # % \" < >, and no space at its ends";
        section.error("id", format!("found {id:?}, expected {expected}"));
    } else if local_enabled && id == LOCAL {
        section
            .error("id", "is the id of the password database (enablePasswordDB), expected another");
    } else if ids.iter().any(|other| other == id) {
        section.error("id", format!("{id} is the id of another connector above"));
    }
}

/// `grantTypes` limits a connector to grant types, as in Dex; an empty list means no limit (`None`). Without
/// `authorization_code` browsers cannot log in through the connector.
fn read_grant_types(section: &Section<'_>) -> Option<Vec<GrantType>> {
    let items = text_items(section, "grantTypes");
    let mut grant_types = Vec::new();
    for (item, text) in &items {
        match GrantType::parse(text) {
            // `client_credentials` involves no user, so no connector.
            Some(known) if known != GrantType::ClientCredentials => grant_types.push(known),
            _ => {
                let names = GrantType::ALL.into_iter().map(GrantType::as_str);
                let near = did_you_mean(text, names);
                item.error(format!("found {text:?}, which is not a grant type{near}"));
            }
        }
    }
    if items.is_empty() {
        return None;
    }
    if !grant_types.contains(&GrantType::AuthorizationCode) {
        let reason =
            "does not contain authorization_code: nobody can sign in through this connector";
        section.warning("grantTypes", reason);
    }
    Some(grant_types)
}

/// Builds connectors from their stored configuration. As in Dex, `$` is not expanded in it.
pub struct StoredConnectors;

impl ConnectorFactory for StoredConnectors {
    fn build(&self, stored: &StoredConnector) -> Result<Connector, String> {
        let text = stored.config.expose();
        // JSON is valid YAML; an absent config is an empty map.
        let text = if text.trim().is_empty() { "{}" } else { text };
        let root = parse_yaml(text).map_err(|_| "its config is not a JSON object".to_owned())?;
        let problems = Problems::new(true);
        let section = Section::root(&root, &problems);
        let (id, name) = (stored.id.clone(), stored.name.clone());
        let connector = countersign_connectors::check_kind(&stored.kind, section.is_some())
            .map(|()| countersign_connectors::read(&stored.kind, id, name, section))?;
        let errors = problems.into_sorted().into_iter();
        let errors: Vec<String> = errors
            .filter(|problem| problem.severity == Severity::Error)
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect();
        match connector {
            Some(connector) if errors.is_empty() => Ok(connector),
            _ => Err(errors.join("; ")),
        }
    }
}
