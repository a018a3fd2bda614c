//! One session with everything known of it.

use askama::Template;

use super::super::display_time::DisplayTime;
use super::super::layout::Layout;
use super::super::messages::FormattedMessage;
use super::super::messages::admin::Admin;
use super::super::name::Name;
use super::{EndSummary, EndedLine, EventRow, Frame};

/// More groups than this are folded away.
const UNFOLDED: usize = 12;

#[derive(Template)]
#[template(path = "admin_session.html")]
pub struct SessionDetail<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    /// What was just ended from here.
    pub done: Option<EndSummary>,
    pub id: &'a str,
    /// It is the session of who looks.
    pub own: bool,
    pub name: Name,
    /// Label and value.
    pub facts: Vec<(&'static str, Name)>,
    pub connector: Name,
    pub since: DisplayTime,
    pub proved: DisplayTime,
    pub used: DisplayTime,
    pub ended: Option<EndedLine>,
    pub tokens_until: Option<DisplayTime>,
    pub groups: Part<Name>,
    pub groups_as_of: DisplayTime,
    pub grants: Part<GrantRow>,
    pub events: Vec<EventRow>,
    pub all_events: String,
    pub trace: Part<Name>,
    /// Searches with this person in it.
    pub of_person: String,
    pub explain: String,
    /// Where the buttons are posted.
    pub action: String,
}

/// Some of a list, with the way to the others.
pub struct Part<T> {
    pub items: Vec<T>,
    pub total: usize,
    pub further: usize,
    pub more: Option<String>,
    pub first: Option<String>,
}

pub struct GrantRow {
    pub id: String,
    pub app: Name,
    pub scopes: Name,
    pub refreshable: bool,
    pub given: DisplayTime,
    pub used: DisplayTime,
    pub until: DisplayTime,
    pub ended: Option<EndedLine>,
}

impl SessionDetail<'_> {
    fn title(&self) -> String {
        self.t().one.heading.plain(&self.name)
    }

    fn heading(&self) -> FormattedMessage {
        self.t().one.heading.with(&self.name)
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }

    fn fold_label(&self) -> String {
        self.t().one.show_groups.of(self.groups.total as u64)
    }
}

impl<T> Part<T> {
    pub(super) fn further_label(&self, t: &Admin) -> String {
        t.one.further.of(self.further as u64)
    }

    pub(super) fn folds(&self) -> bool {
        self.total > UNFOLDED
    }

    pub(super) fn is_empty(&self) -> bool {
        self.total == 0
    }

    pub(super) fn is_cut(&self) -> bool {
        self.further > 0
    }
}

impl GrantRow {
    fn end_label(&self, t: &Admin) -> String {
        t.one.end_grant.plain(&self.app)
    }
}
