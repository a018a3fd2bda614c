//! The approval page: whether an application may receive a user's data; and the pages that return an authorization
//! response without a redirect: by a form (`response_mode=form_post`), or as a code to copy
//! (`urn:ietf:wg:oauth:2.0:oob`).

use askama::Template;

use super::device_flow::DeviceInfo;
use super::href;
use super::layout::{Icon, Layout};
use super::messages::{FormattedMessage, Messages};
use super::name::{ClientInfo, Name, SignedInUser};
use super::texts::PageText;

/// Above this number the groups are collapsed.
const UNFOLDED_GROUPS: usize = 8;

#[derive(Template)]
#[template(path = "pages/approval.html")]
pub struct Approval<'a> {
    pub layout: &'a Layout,
    pub app: ClientInfo,
    pub user: SignedInUser,
    pub scopes: Vec<Scope>,
    /// The groups that will be released; shown only with [`Scope::Groups`].
    pub groups: Vec<Name>,
    /// The device to approve (RFC 8628), for a device authorization.
    pub device: Option<DeviceInfo>,
    /// The sealed pending login.
    pub req: &'a str,
    pub action: &'a str,
}

/// One thing the application requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    OpenId,
    Profile,
    Email,
    Groups,
    OfflineAccess,
    FederatedId,
    /// Access to the administrator's API: to see and end all sessions.
    Admin,
    /// The audience of another client (`audience:server:client_id:…`), by that client's name.
    Audience(Name),
    /// A scope without a text of its own.
    Other(Name),
}

impl Scope {
    /// From a scope as requested.
    pub fn of(scope: &str) -> Self {
        match scope {
            "openid" => Scope::OpenId,
            "profile" => Scope::Profile,
            "email" => Scope::Email,
            "groups" => Scope::Groups,
            "offline_access" => Scope::OfflineAccess,
            "federated:id" => Scope::FederatedId,
            "countersign:admin" => Scope::Admin,
            other => match other.strip_prefix("audience:server:client_id:") {
                Some(client) => Scope::Audience(client.into()),
                None => Scope::Other(other.into()),
            },
        }
    }

    fn icon(&self) -> Icon {
        match self {
            Scope::OpenId => Icon::Badge,
            Scope::Profile => Icon::Person,
            Scope::Email => Icon::Mail,
            Scope::Groups => Icon::People,
            Scope::OfflineAccess => Icon::Clock,
            Scope::FederatedId | Scope::Other(_) => Icon::Tag,
            Scope::Audience(_) => Icon::Exchange,
            Scope::Admin => Icon::Key,
        }
    }

    fn message(&self, messages: &Messages) -> FormattedMessage<'static> {
        let t = &messages.scopes;
        match self {
            Scope::OpenId => FormattedMessage::plain(t.openid),
            Scope::Profile => FormattedMessage::plain(t.profile),
            Scope::Email => FormattedMessage::plain(t.email),
            Scope::Groups => FormattedMessage::plain(t.groups),
            Scope::OfflineAccess => FormattedMessage::plain(t.offline_access),
            Scope::FederatedId => FormattedMessage::plain(t.federated_id),
            Scope::Admin => FormattedMessage::plain(t.admin),
            Scope::Audience(client) => t.audience.with(client),
            Scope::Other(scope) => t.other.with(scope),
        }
    }

    fn is_groups(&self) -> bool {
        *self == Scope::Groups
    }

    /// Whether the scope is about the user's data, as opposed to permissions.
    fn is_personal_data(&self) -> bool {
        match self {
            Scope::OpenId | Scope::Profile | Scope::Email | Scope::Groups | Scope::FederatedId => {
                true
            }
            Scope::OfflineAccess | Scope::Admin | Scope::Audience(_) | Scope::Other(_) => false,
        }
    }
}

impl Approval<'_> {
    fn title(&self) -> String {
        self.layout.unescaped_text_with(PageText::ConsentTitle, &self.app.name)
    }

    fn shared(&self) -> impl Iterator<Item = &Scope> {
        self.scopes.iter().filter(|scope| scope.is_personal_data())
    }

    fn may(&self) -> impl Iterator<Item = &Scope> {
        self.scopes.iter().filter(|scope| !scope.is_personal_data())
    }

    fn group_count(&self) -> String {
        self.layout.messages.approval.groups.of(self.groups.len() as u64)
    }

    fn folds_groups(&self) -> bool {
        self.groups.len() > UNFOLDED_GROUPS
    }
}

#[derive(Template)]
#[template(path = "pages/form_post.html")]
pub struct FormPost<'a> {
    pub layout: &'a Layout,
    pub client_name: Name,
    /// The verified redirect URI.
    pub action: &'a str,
    pub fields: Vec<(&'a str, &'a str)>,
}

impl FormPost<'_> {
    fn title(&self) -> String {
        self.layout.messages.hand_over.heading.plain(&self.client_name)
    }

    fn safe_action(&self) -> &str {
        href::form_action(self.action)
    }
}

#[derive(Template)]
#[template(path = "pages/out_of_band.html")]
pub struct OutOfBand<'a> {
    pub layout: &'a Layout,
    pub client_name: Name,
    pub code: &'a str,
}

impl OutOfBand<'_> {
    fn title(&self) -> String {
        self.layout.messages.out_of_band.title.plain(&self.client_name)
    }
}
