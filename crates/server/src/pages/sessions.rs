//! The user's sessions, their grants and the stored consents, with the forms that end them.

use askama::Template;

use super::approval::Scope;
use super::display::{Device, DisplayTime};
use super::layout::{Icon, Layout};
use super::messages::{FormattedMessage, Messages};
use super::name::Name;

/// One session.
pub struct SignInCard {
    pub id: String,
    pub device: Device,
    pub address: Name,
    pub since: DisplayTime,
    pub used: DisplayTime,
    /// It is the session of the requesting browser.
    pub here: bool,
    pub grants: Vec<GrantLine>,
    /// Number of grants beyond those in `grants`.
    pub more_grants: u64,
    /// Link to the session's own page.
    pub href: String,
}

/// The grant of one redeemed code.
pub struct GrantLine {
    pub id: String,
    pub app: Name,
    pub scopes: Vec<Scope>,
    pub since: DisplayTime,
    pub used: DisplayTime,
    /// `None`: it does not expire.
    pub until: Option<DisplayTime>,
    pub refreshable: bool,
}

/// What was just ended, and until when tokens remain valid.
pub struct EndFlash {
    pub what: EndedItem,
    /// Expiry of the last token, if one is still valid.
    pub tokens_until: Option<DisplayTime>,
}

pub enum EndedItem {
    SignIn,
    /// A grant, by the client's name.
    Grant(Name),
    Others(u64),
    /// A consent, by the client's name.
    Consent(Name),
}

/// A list of sessions, most recently used first.
#[derive(Template)]
#[template(path = "pages/sessions.html")]
pub struct Sessions<'a> {
    pub layout: &'a Layout,
    pub flash: Option<EndFlash>,
    pub cards: Vec<SignInCard>,
    /// Whether there are sessions other than this browser's.
    pub others: bool,
    /// Where the form with the buttons is posted.
    pub action: &'a str,
    pub csrf: &'a str,
    /// This page, as the target after ending something.
    pub back: &'a str,
    pub newer: Option<String>,
    pub older: Option<String>,
}

/// One session with its grants.
#[derive(Template)]
#[template(path = "pages/session.html")]
pub struct OneSession<'a> {
    pub layout: &'a Layout,
    pub flash: Option<EndFlash>,
    pub card: SignInCard,
    /// When its browser must sign in again; `None` if that time has passed.
    pub browser_until: Option<DisplayTime>,
    pub action: &'a str,
    pub csrf: &'a str,
    pub back: &'a str,
    pub newer: Option<String>,
    pub older: Option<String>,
}

impl Sessions<'_> {
    fn title(&self) -> &'static str {
        self.layout.messages.sessions.heading
    }
}

impl OneSession<'_> {
    fn title(&self) -> String {
        self.card.device.label(self.layout.messages).as_str().to_owned()
    }
}

impl SignInCard {
    pub(crate) fn end_label(&self, messages: &Messages) -> String {
        messages.sessions.end_sign_in.plain(&self.device.label(messages))
    }

    pub(crate) fn more(&self, messages: &Messages) -> Option<String> {
        (self.more_grants > 0).then(|| messages.sessions.more_grants.of(self.more_grants))
    }
}

impl GrantLine {
    pub(crate) fn end_label(&self, messages: &Messages) -> String {
        messages.sessions.end_grant.plain(&self.app)
    }

    pub(crate) fn shared_data(&self, messages: &Messages) -> Vec<FormattedMessage<'static>> {
        shared_data(&self.scopes, messages)
    }
}

/// What a client receives, in two or three words per scope, or the scope itself if there is no text for it.
/// `offline_access` is shown separately.
pub(super) fn shared_data(scopes: &[Scope], messages: &Messages) -> Vec<FormattedMessage<'static>> {
    let t = &messages.sessions.shared_data;
    let word = |scope: &Scope| match scope {
        Scope::OpenId | Scope::OfflineAccess => None,
        Scope::Profile => Some(FormattedMessage::plain(t.profile)),
        Scope::Email => Some(FormattedMessage::plain(t.email)),
        Scope::Groups => Some(FormattedMessage::plain(t.groups)),
        Scope::FederatedId => Some(FormattedMessage::plain(t.federated_id)),
        Scope::Audience(client) => Some(t.audience.with(client)),
        Scope::Admin => Some(FormattedMessage::plain(messages.scopes.admin)),
        Scope::Other(scope) => Some(messages.scopes.other.with(scope)),
    };
    let words: Vec<FormattedMessage<'static>> = scopes.iter().filter_map(word).collect();
    if words.is_empty() { vec![FormattedMessage::plain(t.openid)] } else { words }
}

impl EndFlash {
    pub(crate) fn happened(&self, messages: &Messages) -> String {
        let t = &messages.sessions.ended;
        match &self.what {
            EndedItem::SignIn => t.sign_in.to_owned(),
            EndedItem::Grant(app) => t.grant.plain(app),
            EndedItem::Others(0) => t.no_others.to_owned(),
            EndedItem::Others(count) => t.others.of(*count),
            EndedItem::Consent(app) => t.consent.plain(app),
        }
    }

    pub(crate) fn ended_something(&self) -> bool {
        !matches!(self.what, EndedItem::Others(0))
    }
}

/// One client that receives data without another approval.
pub struct ConsentLine {
    pub client_id: String,
    pub app: Name,
    pub scopes: Vec<Scope>,
    /// When the user last approved it.
    pub granted: DisplayTime,
}

#[derive(Template)]
#[template(path = "pages/consents.html")]
pub struct Consents<'a> {
    pub layout: &'a Layout,
    pub flash: Option<EndFlash>,
    pub consents: Vec<ConsentLine>,
    /// Where the form with the buttons is posted.
    pub action: &'a str,
    pub csrf: &'a str,
}

impl Consents<'_> {
    fn title(&self) -> &'static str {
        self.layout.messages.sessions.consents.heading
    }
}

impl ConsentLine {
    fn shared_data(&self, messages: &Messages) -> Vec<FormattedMessage<'static>> {
        shared_data(&self.scopes, messages)
    }

    fn withdraw_label(&self, messages: &Messages) -> String {
        messages.sessions.consents.withdraw_label.plain(&self.app)
    }
}
