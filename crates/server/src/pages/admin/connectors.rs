//! Connectors and their health, with the button that lets a brake go.

use askama::Template;

use super::super::display_time::DisplayTime;
use super::super::layout::Layout;
use super::super::messages::admin::Admin;
use super::super::name::Name;
use super::{Frame, Part};

#[derive(Template)]
#[template(path = "admin_connectors.html")]
pub struct Connectors<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    pub connectors: Part<ConnectorCard>,
    /// Where the confirmation is posted.
    pub action: String,
}

pub struct ConnectorCard {
    pub id: String,
    pub name: Name,
    pub kind: Name,
    pub health: Health,
    pub last_answer: Option<DisplayTime>,
    pub last_failure: Option<DisplayTime>,
    pub last_error: Option<Name>,
    pub circuit_open_since: Option<DisplayTime>,
    pub sessions: u64,
    /// Its sessions.
    pub href: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Up,
    Down,
    CircuitOpen,
}

impl Connectors<'_> {
    fn title(&self) -> &'static str {
        self.t().places.connectors
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }
}

impl ConnectorCard {
    fn its_sessions(&self, t: &Admin) -> String {
        t.places.its_sessions.of(self.sessions)
    }

    fn confirm_label(&self, t: &Admin) -> String {
        t.places.confirm_label.plain(&self.name)
    }

    fn health_words(&self, t: &Admin) -> &'static str {
        match self.health {
            Health::Up => t.places.up,
            Health::Down => t.places.down,
            Health::CircuitOpen => t.places.circuit_breaker,
        }
    }

    fn health_class(&self) -> &'static str {
        if self.health == Health::Up { "tag" } else { "tag over" }
    }
}
