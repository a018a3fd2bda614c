//! Pages that return an authorization response without a redirect: by a form (`response_mode=form_post`), or as a code
//! to copy (`urn:ietf:wg:oauth:2.0:oob`).

use askama::Template;

use super::href;
use super::layout::Layout;
use super::name::Name;

#[derive(Template)]
#[template(path = "pages/form_post.html")]
pub struct FormPost<'a> {
    pub layout: &'a Layout,
    pub client_name: Name,
    /// The verified redirect URI.
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

#[derive(Template)]
#[template(path = "pages/out_of_band.html")]
pub struct OutOfBand<'a> {
    pub layout: &'a Layout,
    pub client_name: Name,
    pub code: &'a str,
}

impl OutOfBand<'_> {
    fn title(&self) -> String {
        self.layout.messages.out_of_band.title.plain(&self.client_name)
    }
}
