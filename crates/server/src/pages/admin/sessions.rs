//! The list of sessions.

use askama::Template;

use super::super::display_time::DisplayTime;
use super::super::layout::Layout;
use super::super::messages::admin::Admin;
use super::super::name::Name;
use super::{FilterForm, Frame};

#[derive(Template)]
#[template(path = "admin_sessions.html")]
pub struct SessionList<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    pub form: FilterForm,
    pub rows: Vec<SessionRow>,
    /// Those of `rows` are all there are.
    pub complete: bool,
    /// The page that previews their end; `None` where nothing of them is live.
    pub end: Option<String>,
    /// Something narrows the list.
    pub narrowed: bool,
    pub first: Option<String>,
    pub next: Option<String>,
}

pub struct SessionRow {
    pub href: String,
    pub name: Name,
    /// Login or e-mail address, where it is not the name.
    pub login: Option<Name>,
    pub connector: Name,
    pub address: Name,
    pub device: Name,
    pub since: DisplayTime,
    pub used: DisplayTime,
    pub apps: Vec<Name>,
    pub more_apps: usize,
    pub ended: Option<EndedLine>,
}

pub struct EndedLine {
    pub at: DisplayTime,
    pub by: Name,
    pub why: Name,
}

impl SessionList<'_> {
    fn title(&self) -> &'static str {
        self.t().list.heading
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }

    fn count(&self) -> String {
        let (list, count) = (&self.t().list, self.rows.len() as u64);
        if self.complete { list.found.of(count) } else { list.newest.of(count) }
    }
}

impl SessionRow {
    fn more(&self, t: &Admin) -> Option<String> {
        let more = Name::new(&self.more_apps.to_string());
        (self.more_apps > 0).then(|| t.list.more_apps.plain(&more))
    }
}
