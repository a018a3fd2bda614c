//! The error page: what happened, what to do, and the reference under which the log has the cause.

use askama::Template;

use super::href::PageLink;
use super::layout::Layout;
use super::messages::ErrorMessages;
use super::name::Name;
use super::problem::PageErrorKind;

/// Longest detail shown, in characters; few redirect URIs are longer.
const LONGEST_DETAIL: usize = 1024;

#[derive(Template)]
#[template(path = "error.html")]
pub struct ErrorPage<'a> {
    pub layout: &'a Layout,
    pub messages: ErrorMessages,
    /// Goes with the page and is shown beside the reference.
    pub status: u16,
    /// What the words are about: the groups of [`PageErrorKind::MissingGroups`], the name of who is
    /// [`PageErrorKind::UpstreamDown`].
    pub items: Vec<Name>,
    /// Lines for the operator of the application: the client id and the redirect URI that were sent. Never an upstream's
    /// own message.
    pub details: Vec<Name>,
    pub reference: &'a str,
    pub link: Option<PageLink>,
}

impl<'a> ErrorPage<'a> {
    pub fn new(layout: &'a Layout, problem: PageErrorKind, reference: &'a str) -> Self {
        Self {
            layout,
            messages: problem.messages(layout.messages),
            status: problem.status(),
            items: Vec::new(),
            details: Vec::new(),
            reference,
            link: None,
        }
    }

    pub fn items(mut self, items: Vec<Name>) -> Self {
        self.items = items;
        self
    }

    pub fn detail(mut self, detail: &str) -> Self {
        self.details.push(Name::up_to(LONGEST_DETAIL, detail));
        self
    }

    pub fn link(mut self, link: PageLink) -> Self {
        self.link = Some(link);
        self
    }

    fn title(&self) -> &'static str {
        self.messages.title
    }
}
