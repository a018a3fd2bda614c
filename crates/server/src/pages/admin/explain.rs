//! Why somebody can or cannot sign in.

use askama::Template;

use super::super::layout::Layout;
use super::super::messages::admin::Admin;
use super::super::name::Name;
use super::{FilterForm, Frame, Part};

#[derive(Template)]
#[template(path = "admin_explain.html")]
pub struct Explain<'a> {
    pub layout: &'a Layout,
    pub frame: Frame<'a>,
    pub form: FilterForm,
    /// Somebody was asked about.
    pub asked: bool,
    pub people: Vec<PersonCard>,
    pub upstreams: Vec<UpstreamCard>,
}

pub struct PersonCard {
    pub name: Name,
    pub email: Name,
    pub user_id: Name,
    pub connector: Name,
    pub sub: Name,
    pub administrator: bool,
    pub groups: Part<Name>,
    pub sessions: String,
    /// What the client would be told: its name, whether it may use the connector, how long tokens live,
    /// and notes in words.
    pub client: Option<(Name, bool, Name, Vec<Name>)>,
}

pub struct UpstreamCard {
    pub connector: Name,
    pub outcome: Name,
    pub user_id: Option<Name>,
    pub groups: Part<Name>,
    pub trace: Part<Name>,
}

impl Explain<'_> {
    fn title(&self) -> &'static str {
        self.t().explain.heading
    }

    fn t(&self) -> &'static Admin {
        &self.layout.messages.admin
    }
}
