//! The audit log, and who had a group when.

use askama::Template;

use super::super::display_time::DisplayTime;
use super::super::layout::Layout;
use super::super::messages::admin::Admin;
use super::super::name::Name;
use super::{FilterForm, Frame};

#[derive(Template)]
#[template(path = "admin_events.html")]
pub struct Events<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    pub form: FilterForm,
    pub rows: Vec<EventRow>,
    pub first: Option<String>,
    pub next: Option<String>,
}

pub struct EventRow {
    pub at: DisplayTime,
    pub what: Name,
    pub actor: Name,
    /// Person and connector, client: whatever it names.
    pub about: Vec<Name>,
    /// The page of the session.
    pub session: Option<String>,
    pub address: Option<Name>,
    pub reason: Option<Name>,
    pub details: Option<Name>,
}

#[derive(Template)]
#[template(path = "admin_holders.html")]
pub struct Holders<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    pub form: FilterForm,
    /// A group was asked about.
    pub asked: bool,
    pub rows: Vec<HolderRow>,
    pub first: Option<String>,
    pub next: Option<String>,
}

pub struct HolderRow {
    pub person: Name,
    pub user_id: Name,
    pub connector: Name,
    pub session: String,
    pub since: DisplayTime,
    pub until: Option<DisplayTime>,
    pub tokens_until: Option<DisplayTime>,
}

impl Events<'_> {
    fn title(&self) -> &'static str {
        self.t().log.heading
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }
}

impl Holders<'_> {
    fn title(&self) -> &'static str {
        self.t().log.holders
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }
}
