//! A user's own sessions, the grants of each and the remembered consents, with the buttons that end them.

use askama::Template;

use super::approval::Scope;
use super::device::Device;
use super::display_time::DisplayTime;
use super::icon::Icon;
use super::layout::Layout;
use super::messages::{FormattedMessage, Messages};
use super::name::Name;

/// One sign-in by one browser.
pub struct SignInCard {
    pub id: String,
    pub device: Device,
    pub address: Name,
    pub since: DisplayTime,
    pub used: DisplayTime,
    /// Its browser is the one that looks.
    pub here: bool,
    pub grants: Vec<GrantLine>,
    /// Grants it has beyond those.
    pub more_grants: u64,
    /// Its own page.
    pub href: String,
}

/// The grant of one redeemed code.
pub struct GrantLine {
    pub id: String,
    pub app: Name,
    pub scopes: Vec<Scope>,
    pub since: DisplayTime,
    pub used: DisplayTime,
    /// `None`: it stays until somebody ends it.
    pub until: Option<DisplayTime>,
    pub refreshable: bool,
}

/// What was just ended, and what may still work.
pub struct EndFlash {
    pub what: EndedItem,
    /// When the last token dies, if one still works.
    pub tokens_until: Option<DisplayTime>,
}

pub enum EndedItem {
    SignIn,
    /// The application's name.
    Grant(Name),
    Others(u64),
    /// The consent of the application of this name.
    Consent(Name),
}

/// Several sign-ins, newest use first.
#[derive(Template)]
#[template(path = "sessions.html")]
pub struct Sessions<'a> {
    pub layout: &'a Layout,
    pub flash: Option<EndFlash>,
    pub cards: Vec<SignInCard>,
    /// There are others than this browser's.
    pub others: bool,
    /// Where the form with all the buttons is posted.
    pub action: &'a str,
    pub csrf: &'a str,
    /// This page, to come back to after an end.
    pub back: &'a str,
    pub newer: Option<String>,
    pub older: Option<String>,
}

/// One sign-in with its grants.
#[derive(Template)]
#[template(path = "session.html")]
pub struct OneSession<'a> {
    pub layout: &'a Layout,
    pub flash: Option<EndFlash>,
    pub card: SignInCard,
    /// When its browser must sign in again; `None` when it must already.
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

    pub(crate) fn shared_data(&self, messages: &Messages) -> Vec<FormattedMessage> {
        shared_data(&self.scopes, messages)
    }
}

/// What an application receives, in two or three words for each scope; the identifier only where there is
/// nothing more. Staying signed in is shown beside it.
pub(super) fn shared_data(scopes: &[Scope], messages: &Messages) -> Vec<FormattedMessage> {
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
    let words: Vec<FormattedMessage> = scopes.iter().filter_map(word).collect();
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

/// One application that may receive something without another approval.
pub struct ConsentLine {
    pub client_id: String,
    pub app: Name,
    pub scopes: Vec<Scope>,
    /// The last approval.
    pub granted: DisplayTime,
}

#[derive(Template)]
#[template(path = "consents.html")]
pub struct Consents<'a> {
    pub layout: &'a Layout,
    pub flash: Option<EndFlash>,
    pub consents: Vec<ConsentLine>,
    /// Where the form with all the buttons is posted.
    pub action: &'a str,
    pub csrf: &'a str,
}

impl Consents<'_> {
    fn title(&self) -> &'static str {
        self.layout.messages.sessions.consents.heading
    }
}

impl ConsentLine {
    fn shared_data(&self, messages: &Messages) -> Vec<FormattedMessage> {
        shared_data(&self.scopes, messages)
    }

    fn withdraw_label(&self, messages: &Messages) -> String {
        messages.sessions.consents.withdraw_label.plain(&self.app)
    }
}
