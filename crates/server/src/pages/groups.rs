//! All groups of a person, to be searched and turned through.

use askama::Template;

use super::home::HeldGroups;
use super::icon::Icon;
use super::layout::Layout;
use super::messages::Messages;

#[derive(Template)]
#[template(path = "groups.html")]
pub struct Groups<'a> {
    pub layout: &'a Layout,
    pub groups: HeldGroups,
    /// What was looked for, as typed.
    pub search: &'a str,
    /// Where the search is sent, by GET.
    pub action: &'a str,
    pub earlier: Option<String>,
    pub more: Option<String>,
}

impl Groups<'_> {
    fn title(&self) -> &'static str {
        self.layout.messages.groups.heading
    }

    fn messages(&self) -> &'static Messages {
        self.layout.messages
    }
}
