//! What a person has allowed applications to receive.

use askama::Template;

use super::approval::Scope;
use super::display_time::DisplayTime;
use super::icon::Icon;
use super::layout::Layout;
use super::messages::{FormattedMessage, Messages};
use super::name::Name;
use super::sessions::{EndFlash, shared_data};

/// One application that may receive something without another approval.
pub struct ConsentLine {
    pub client_id: String,
    pub app: Name,
    pub scopes: Vec<Scope>,
    /// The last approval.
    pub granted: DisplayTime,
}

#[derive(Template)]
#[template(path = "consents.html")]
pub struct Consents<'a> {
    pub layout: &'a Layout,
    pub flash: Option<EndFlash>,
    pub consents: Vec<ConsentLine>,
    /// Where the form with all the buttons is posted.
    pub action: &'a str,
    pub csrf: &'a str,
}

impl Consents<'_> {
    fn title(&self) -> &'static str {
        self.layout.messages.sessions.consents.heading
    }
}

impl ConsentLine {
    fn shared_data(&self, messages: &Messages) -> Vec<FormattedMessage> {
        shared_data(&self.scopes, messages)
    }

    fn withdraw_label(&self, messages: &Messages) -> String {
        messages.sessions.consents.withdraw_label.plain(&self.app)
    }
}
