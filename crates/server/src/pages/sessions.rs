//! A person's own sign-ins and what each gave to which application, with the buttons that end them.

use askama::Template;

use super::approval::Scope;
use super::device::Device;
use super::display_time::DisplayTime;
use super::icon::Icon;
use super::layout::Layout;
use super::name::Name;
use super::texts::{Spoken, Texts};

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

/// What one redeemed code gave to one application.
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
pub struct EndNotice {
    pub what: Done,
    /// When the last token dies, if one still works.
    pub tokens_until: Option<DisplayTime>,
}

pub enum Done {
    SignIn,
    /// The application's name.
    Grant(Name),
    Others(u64),
}

/// Several sign-ins, newest use first.
#[derive(Template)]
#[template(path = "sessions.html")]
pub struct Sessions<'a> {
    pub layout: &'a Layout,
    pub notice: Option<EndNotice>,
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

/// One sign-in with all it gave.
#[derive(Template)]
#[template(path = "session.html")]
pub struct OneSession<'a> {
    pub layout: &'a Layout,
    pub notice: Option<EndNotice>,
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
        self.layout.texts.sessions.heading
    }
}

impl OneSession<'_> {
    fn title(&self) -> String {
        self.card.device.words(self.layout.texts).as_str().to_owned()
    }
}

impl SignInCard {
    pub(super) fn end_label(&self, texts: &Texts) -> String {
        texts.sessions.end_sign_in.plain(&self.device.words(texts))
    }

    pub(super) fn more(&self, texts: &Texts) -> Option<String> {
        (self.more_grants > 0).then(|| texts.sessions.more_grants.of(self.more_grants))
    }
}

impl GrantLine {
    pub(super) fn end_label(&self, texts: &Texts) -> String {
        texts.sessions.end_grant.plain(&self.app)
    }

    /// To stay signed in is said beside it, and the identifier only when there is nothing more.
    pub(super) fn told(&self, texts: &Texts) -> Vec<Spoken> {
        let t = &texts.sessions.told_words;
        let word = |scope: &Scope| match scope {
            Scope::OpenId | Scope::OfflineAccess => None,
            Scope::Profile => Some(Spoken::plain(t.profile)),
            Scope::Email => Some(Spoken::plain(t.email)),
            Scope::Groups => Some(Spoken::plain(t.groups)),
            Scope::FederatedId => Some(Spoken::plain(t.federated_id)),
            Scope::Audience(client) => Some(t.audience.with(client)),
            Scope::Admin => Some(Spoken::plain(texts.scopes.admin)),
            Scope::Other(scope) => Some(texts.scopes.other.with(scope)),
        };
        let words: Vec<Spoken> = self.scopes.iter().filter_map(word).collect();
        if words.is_empty() { vec![Spoken::plain(t.openid)] } else { words }
    }
}

impl EndNotice {
    pub(super) fn happened(&self, texts: &Texts) -> String {
        let t = &texts.sessions.ended;
        match &self.what {
            Done::SignIn => t.sign_in.to_owned(),
            Done::Grant(app) => t.grant.plain(app),
            Done::Others(0) => t.no_others.to_owned(),
            Done::Others(count) => t.others.of(*count),
        }
    }

    pub(super) fn ended_something(&self) -> bool {
        !matches!(self.what, Done::Others(0))
    }
}
