//! The page that asks which account to sign in with.

use askama::Template;

use super::icon::Icon;
use super::layout::Layout;
use super::name::Name;
use super::people::App;

#[derive(Template)]
#[template(path = "choose_connector.html")]
pub struct ChooseConnector<'a> {
    pub layout: &'a Layout,
    pub app: App,
    /// In the order to show; the caller puts the last used one first.
    pub entries: Vec<Entry>,
}

/// One way in.
pub struct Entry {
    /// Connector id; the link's element id is `connector-<id>`.
    pub id: String,
    pub name: Name,
    pub kind: ConnectorKind,
    pub href: String,
    pub last_used: bool,
    /// The upstream did not answer lately. The link stays: it may be back.
    pub down: bool,
}

/// Decides the icon only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectorKind {
    Password,
    Directory,
    Redirect,
    Mock,
}

impl ConnectorKind {
    /// From a connector's configured `type`.
    pub fn of(connector_type: &str) -> Self {
        match connector_type {
            "local" => ConnectorKind::Password,
            "ldap" | "keystone" | "atlassian-crowd" => ConnectorKind::Directory,
            "mockCallback" | "mockPassword" => ConnectorKind::Mock,
            _ => ConnectorKind::Redirect,
        }
    }

    fn icon(self) -> Icon {
        match self {
            ConnectorKind::Password => Icon::Key,
            ConnectorKind::Directory => Icon::Building,
            ConnectorKind::Redirect => Icon::Globe,
            ConnectorKind::Mock => Icon::Flask,
        }
    }
}

impl ChooseConnector<'_> {
    fn title(&self) -> String {
        self.layout.texts.sign_in_to.plain(&self.app.name)
    }
}
