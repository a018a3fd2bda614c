//! View structs of the pages that end sessions.

use super::super::filters::{Chip, Field};
use super::super::frame::Frame;
use crate::pages::messages::admin::Admin;
use crate::pages::{DisplayTime, Layout, Name};

/// What ended, and when the last token of it expires.
pub struct EndSummary {
    pub sessions: u64,
    pub grants: u64,
    /// In the future; `None`: no token is valid any more.
    pub tokens_until: Option<DisplayTime>,
}

/// One of the users whose sessions would end.
pub struct PersonLine {
    pub name: Name,
    pub login: Option<Name>,
    pub connector: Name,
}

/// The page without a filter, with two forms: end the sessions since an instant, or all sessions.
#[derive(askama::Template)]
#[template(path = "pages/admin_end.html")]
pub struct EndMany<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    pub since: Field,
    pub problem: Option<Name>,
    /// Target of both forms (GET).
    pub action: String,
}

#[derive(askama::Template)]
#[template(path = "pages/admin_preview.html")]
pub struct Preview<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    /// The filter; empty: all sessions.
    pub chips: Vec<Chip>,
    pub sessions: u64,
    pub people: u64,
    /// The users of the newest sessions: name, login or e-mail address, connector.
    pub who: Vec<PersonLine>,
    pub grants: u64,
    pub apps: Vec<(Name, u64)>,
    pub more_apps: usize,
    pub tokens_until: Option<DisplayTime>,
    /// The administrator's own sessions are among them.
    pub yours: bool,
    /// `Some`: a checkbox must be ticked for the confirmation; `true`: it was submitted unticked.
    pub sure: Option<bool>,
    /// Where the form is posted: this page with its filter.
    pub action: String,
    pub back: String,
}

#[derive(askama::Template)]
#[template(path = "pages/admin_ended.html")]
pub struct Ended<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    /// The filter; empty: all sessions; `None`: a single session was named.
    pub chips: Option<Vec<Chip>>,
    pub done: EndSummary,
    /// Where to post again, if more sessions match than one request ends.
    pub more: Option<String>,
    /// The administrator's own session has ended, so further requests would be refused.
    pub own_ended: bool,
    /// The next form includes the ticked checkbox.
    pub sure: bool,
    pub back: String,
}

impl EndSummary {
    /// Otherwise nothing is known here of tokens that are still valid.
    pub(crate) fn ended_something(&self) -> bool {
        self.sessions > 0 || self.grants > 0
    }

    pub(crate) fn message(&self, t: &Admin) -> String {
        let end = &t.end;
        match (self.sessions, self.grants) {
            (0, 1) => end.done_grant.to_owned(),
            // The same button may have been pressed twice.
            (0, 0) => end.nothing.to_owned(),
            (sessions, 0) => end.done_sessions.of(sessions),
            (sessions, grants) => {
                format!("{} {}", end.done_sessions.of(sessions), end.done_grants.of(grants))
            }
        }
    }
}

impl EndMany<'_> {
    fn title(&self) -> &'static str {
        self.t().end.heading
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }
}

impl Preview<'_> {
    fn title(&self) -> &'static str {
        self.t().end.preview_heading
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }

    fn button(&self) -> String {
        self.t().end.end_now.of(self.sessions)
    }

    fn more_apps_label(&self) -> Option<String> {
        let more = Name::new(&self.more_apps.to_string());
        (self.more_apps > 0).then(|| self.t().list.more_apps.plain(&more))
    }

    fn more_people(&self) -> Option<String> {
        let more = self.people.saturating_sub(self.who.len() as u64);
        let more = (more > 0).then(|| Name::new(&more.to_string()));
        more.map(|more| self.t().list.more_apps.plain(&more))
    }

    fn forgotten(&self) -> bool {
        self.sure == Some(true)
    }
}

impl Ended<'_> {
    fn title(&self) -> &'static str {
        self.t().end.done_heading
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }
}
