//! Clients and signing keys.

use askama::Template;

use super::super::display_time::DisplayTime;
use super::super::layout::Layout;
use super::super::messages::admin::Admin;
use super::super::name::Name;
use super::{Frame, Part};

#[derive(Template)]
#[template(path = "admin_clients.html")]
pub struct Clients<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    pub clients: Part<ClientRow>,
}

pub struct ClientRow {
    pub name: Name,
    pub id: Name,
    pub public: bool,
    pub redirects: Vec<Name>,
    pub more_redirects: usize,
    /// Empty: all.
    pub connectors: Vec<Name>,
    pub tokens_live_seconds: u64,
    pub sessions: u64,
    pub grants: u64,
    /// Its sessions.
    pub href: String,
}

#[derive(Template)]
#[template(path = "admin_keys.html")]
pub struct Keys<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    /// The rotation that was just asked for: what was done, and when that key signs.
    pub rotated: Option<(String, DisplayTime)>,
    pub rows: Vec<KeyRow>,
    pub action: String,
}

pub struct KeyRow {
    pub number: i64,
    pub kid: Name,
    pub algorithm: Name,
    pub state: &'static str,
    pub signs: bool,
    pub created: DisplayTime,
    pub signs_from: DisplayTime,
    pub drops_at: Option<DisplayTime>,
}

impl Clients<'_> {
    fn title(&self) -> &'static str {
        self.t().places.clients
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }
}

impl ClientRow {
    fn tokens_live(&self, t: &Admin) -> String {
        let seconds = self.tokens_live_seconds;
        match seconds % 60 {
            0 => t.places.minutes.of(seconds / 60),
            _ => t.places.seconds.of(seconds),
        }
    }

    fn its_sessions(&self, t: &Admin) -> String {
        t.places.its_sessions.of(self.sessions)
    }

    fn its_grants(&self, t: &Admin) -> String {
        t.places.its_grants.of(self.grants)
    }

    fn more(&self, t: &Admin) -> Option<String> {
        let more = Name::new(&self.more_redirects.to_string());
        (self.more_redirects > 0).then(|| t.list.more_apps.plain(&more))
    }
}

impl Keys<'_> {
    fn title(&self) -> &'static str {
        self.t().keys.heading
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }
}
