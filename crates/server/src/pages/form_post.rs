//! The page that carries an answer to the application by a form (`response_mode=form_post`).

use askama::Template;

use super::href;
use super::layout::Layout;
use super::name::Name;

#[derive(Template)]
#[template(path = "form_post.html")]
pub struct FormPost<'a> {
    pub layout: &'a Layout,
    pub client_name: Name,
    /// The proven redirect URI.
    pub action: &'a str,
    pub fields: Vec<(&'a str, &'a str)>,
}

impl FormPost<'_> {
    fn title(&self) -> String {
        self.layout.messages.hand_over.heading.plain(&self.client_name)
    }

    fn safe_action(&self) -> &str {
        href::form_action(self.action)
    }
}
