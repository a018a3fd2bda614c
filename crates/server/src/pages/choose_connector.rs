//! The page on which a user chooses the connector.

use askama::Template;

use super::brand::{self, Brand};
use super::icon::Icon;
use super::layout::Layout;
use super::name::ClientInfo;
use super::name::Name;
use super::texts::PageText;

#[derive(Template)]
#[template(path = "pages/choose_connector.html")]
pub struct ChooseConnector<'a> {
    pub layout: &'a Layout,
    pub app: ClientInfo,
    /// In display order; the caller puts the connector used last first.
    pub entries: Vec<ConnectorEntry>,
}

/// One connector to choose.
pub struct ConnectorEntry {
    /// Connector id; the link's element id is `connector-<id>`.
    pub id: String,
    pub name: Name,
    pub kind: ConnectorKind,
    pub href: String,
    pub last_used: bool,
    /// The upstream did not respond recently. The link remains, since it may have recovered.
    pub down: bool,
}

/// Decides only the logo or icon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectorKind {
    Password,
    Directory,
    GitHub,
    Google,
    Redirect,
    Mock,
}

impl ConnectorKind {
    /// From a connector's configured `type`.
    pub fn of(connector_type: &str) -> Self {
        match connector_type {
            "local" => ConnectorKind::Password,
            "ldap" | "keystone" | "atlassian-crowd" => ConnectorKind::Directory,
            "github" => ConnectorKind::GitHub,
            "google" => ConnectorKind::Google,
            "mockCallback" | "mockPassword" => ConnectorKind::Mock,
            _ => ConnectorKind::Redirect,
        }
    }

    /// The upstream's logo, if its guidelines permit us to show it.
    fn brand(self) -> Option<&'static Brand> {
        match self {
            ConnectorKind::GitHub => Some(&brand::GITHUB),
            ConnectorKind::Google => Some(&brand::GOOGLE),
            _ => None,
        }
    }

    fn icon(self) -> Icon {
        match self {
            ConnectorKind::Password => Icon::Key,
            ConnectorKind::Directory => Icon::Building,
            ConnectorKind::GitHub | ConnectorKind::Google | ConnectorKind::Redirect => Icon::Globe,
            ConnectorKind::Mock => Icon::Flask,
        }
    }
}

impl ConnectorEntry {
    /// Classes of the link.
    fn class(&self) -> String {
        let brand = self.kind.brand().map_or("", |brand| brand.class);
        let last = if self.last_used { "last" } else { "" };
        let classes = ["way", last, brand].into_iter().filter(|class| !class.is_empty());
        classes.collect::<Vec<_>>().join(" ")
    }
}

impl ChooseConnector<'_> {
    fn title(&self) -> String {
        self.layout.unescaped_text_with(PageText::SignInTitle, &self.app.name)
    }
}
