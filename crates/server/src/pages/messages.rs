//! All texts of the pages. This file declares them; `messages/english.rs` contains the English ones. Another language
//! is another such file, which compiles only if it is complete.

pub mod admin;
mod english;
pub mod sessions;

use std::fmt;

use askama::filters::{Escaper, Html, HtmlSafe};

use super::name::Name;

pub use english::ENGLISH;

#[derive(Clone, Copy, Debug)]
pub struct Messages {
    /// BCP 47, for `<html lang>`.
    pub lang: &'static str,
    /// `ltr` or `rtl`.
    pub dir: &'static str,
    pub sign_in_to: Message,
    pub continue_at: Message,
    pub via: Message,
    pub sign_out: &'static str,
    pub choose: Choose,
    pub password: Password,
    pub approval: Approval,
    pub scopes: Scopes,
    pub error: Error,
    pub problems: Problems,
    pub links: Links,
    pub home: Home,
    pub sessions: sessions::Sessions,
    pub groups: sessions::Groups,
    pub logout: Logout,
    pub hand_over: HandOver,
    pub out_of_band: OutOfBand,
    pub device: Device,
    pub clusters: Clusters,
    pub display_time: DisplayTime,
    pub admin: admin::Admin,
}

#[derive(Clone, Copy, Debug)]
pub struct Choose {
    pub how: &'static str,
    pub last_used: &'static str,
    pub down: &'static str,
    pub none: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub struct Password {
    pub with_account: Message,
    /// For local accounts; `{}` is the name of this service.
    pub with_own_account: Message,
    pub password: &'static str,
    /// The buttons that show and hide the password.
    pub show: &'static str,
    pub hide: &'static str,
    pub sign_in: &'static str,
    pub other_connectors: &'static str,
    /// Prefix of the title when the page is shown again with an error.
    pub error: &'static str,
    pub wrong: &'static str,
    pub wrong_todo: &'static str,
    pub too_many: &'static str,
    pub retry_seconds: PluralMessage,
    pub retry_minutes: PluralMessage,
    pub expired: &'static str,
    pub expired_todo: &'static str,
    pub locked: &'static str,
    pub locked_todo: &'static str,
    pub disabled: &'static str,
    pub disabled_todo: &'static str,
    pub down: &'static str,
    pub down_todo: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub struct Approval {
    pub heading: Message,
    pub requester: &'static str,
    pub requester_at: Message,
    pub you_are: &'static str,
    pub not_you: &'static str,
    pub receives: &'static str,
    pub may: &'static str,
    pub groups: PluralMessage,
    pub no_groups: &'static str,
    pub allow: &'static str,
    pub deny: &'static str,
    pub then: Message,
}

#[derive(Clone, Copy, Debug)]
pub struct Scopes {
    pub openid: &'static str,
    pub profile: &'static str,
    pub email: &'static str,
    pub groups: &'static str,
    pub offline_access: &'static str,
    pub federated_id: &'static str,
    pub admin: &'static str,
    pub audience: Message,
    pub other: Message,
}

#[derive(Clone, Copy, Debug)]
pub struct Error {
    pub what_now: &'static str,
    pub reference: &'static str,
}

/// The texts of an error page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorMessages {
    pub title: &'static str,
    pub happened: &'static str,
    pub todo: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub struct Problems {
    pub start_again: ErrorMessages,
    pub form_expired: ErrorMessages,
    pub unknown_app: ErrorMessages,
    pub wrong_redirect: ErrorMessages,
    pub bad_request: ErrorMessages,
    pub refused: ErrorMessages,
    pub not_allowed: ErrorMessages,
    pub blocked: ErrorMessages,
    pub blocked_until: Message,
    pub blocked_contact: Message,
    pub missing_groups: ErrorMessages,
    pub email_not_verified: ErrorMessages,
    pub not_through_proxy: ErrorMessages,
    pub upstream_failed: ErrorMessages,
    pub invalid_response: ErrorMessages,
    pub upstream_misconfigured: ErrorMessages,
    pub upstream_down: ErrorMessages,
    pub not_found: ErrorMessages,
    pub method_not_allowed: ErrorMessages,
    pub too_many_requests: ErrorMessages,
    pub internal: ErrorMessages,
    pub unavailable: ErrorMessages,
    pub outcome_unknown: ErrorMessages,
}

#[derive(Clone, Copy, Debug)]
pub struct Links {
    pub back_to: Message,
    pub other_connectors: &'static str,
    pub try_again: &'static str,
    pub home: &'static str,
    pub sign_out_of: Message,
}

#[derive(Clone, Copy, Debug)]
pub struct Home {
    pub signed_in_heading: &'static str,
    pub since: &'static str,
    pub until: &'static str,
    pub groups_heading: &'static str,
    pub groups: PluralMessage,
    pub no_groups: &'static str,
    pub discovery: &'static str,
    pub signed_out_heading: &'static str,
    pub what_this_is: &'static str,
    pub how_heading: &'static str,
    pub how: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub struct Logout {
    pub heading: &'static str,
    pub explain: &'static str,
    pub stay: &'static str,
    pub tools: &'static str,
    pub tools_hint: &'static str,
    pub done: &'static str,
    pub done_explain: &'static str,
    pub tools_kept: &'static str,
    pub tools_ended: &'static str,
    pub notified: &'static str,
    pub not_redirected: Message,
    pub hint_refused: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub struct HandOver {
    pub heading: Message,
    pub explain: &'static str,
    pub go_on: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub struct OutOfBand {
    pub title: Message,
    pub heading: &'static str,
    pub explain: Message,
    pub code: &'static str,
    pub careful: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub struct Device {
    pub heading: &'static str,
    pub explain: &'static str,
    pub code: &'static str,
    pub careful: &'static str,
    pub wrong: &'static str,
    pub wrong_todo: &'static str,
    pub confirm_heading: Message,
    pub confirm: Message,
    pub program: &'static str,
    pub address: &'static str,
    pub requested: &'static str,
    pub only_yours: &'static str,
    pub otherwise: &'static str,
    pub it_is_mine: &'static str,
    pub cancel: &'static str,
    /// On the approval page, above the description of the device.
    pub on_device: &'static str,
    pub approved: &'static str,
    pub approved_explain: Message,
    pub approved_careful: &'static str,
    pub denied: &'static str,
    pub denied_explain: Message,
}

#[derive(Clone, Copy, Debug)]
pub struct Clusters {
    pub heading: &'static str,
    pub none: &'static str,
    pub how: &'static str,
    pub how_explain: &'static str,
    pub one_by_one: &'static str,
    pub download: &'static str,
    pub download_all: &'static str,
    pub no_secret: &'static str,
    /// On the home page.
    pub link: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub struct DisplayTime {
    pub now: &'static str,
    pub minutes_ago: PluralMessage,
    pub in_minutes: PluralMessage,
    pub hours_ago: PluralMessage,
    pub in_hours: PluralMessage,
    pub days_ago: PluralMessage,
    pub in_days: PluralMessage,
    pub months: [&'static str; 12],
    /// Abbreviated, for tables.
    pub short_months: [&'static str; 12],
}

/// A text with one `{}` for a name.
#[derive(Clone, Copy, Debug)]
pub struct Message(pub &'static str);

impl Message {
    /// As HTML, with the name shortened and in its own `<bdi>`.
    pub(crate) fn with(self, name: &Name) -> FormattedMessage<'static> {
        self.with_whole(&name.short())
    }

    /// As HTML with the name not shortened: for a host, whose end is significant.
    pub(crate) fn with_whole(self, name: &Name) -> FormattedMessage<'static> {
        FormattedMessage::with_whole(self.0, name)
    }

    /// As unescaped text with the name shortened: for a title or a button.
    pub(crate) fn plain(self, name: &Name) -> String {
        FormattedMessage::unescaped(self.0, name)
    }
}

/// A sentence for a page, whose name is escaped on display.
pub(crate) struct FormattedMessage<'a> {
    before: &'a str,
    name: Option<Name>,
    after: &'a str,
}

impl<'a> FormattedMessage<'a> {
    pub(crate) fn plain(text: &'a str) -> Self {
        Self { before: text, name: None, after: "" }
    }

    /// The name at `{}`, not shortened.
    pub(crate) fn with_whole(text: &'a str, name: &Name) -> Self {
        let (before, after) = text.split_once("{}").unwrap_or((text, ""));
        Self { before, name: Some(name.clone()), after }
    }

    /// As unescaped text, with the shortened name at `{}`.
    pub(crate) fn unescaped(text: &str, name: &Name) -> String {
        let (before, after) = text.split_once("{}").unwrap_or((text, ""));
        format!("{before}{}{after}", name.short())
    }
}

impl HtmlSafe for FormattedMessage<'_> {}

impl fmt::Display for FormattedMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Html.write_escaped_str(&mut *f, self.before)?;
        if let Some(name) = &self.name {
            f.write_str("<bdi>")?;
            Html.write_escaped_str(&mut *f, name.as_str())?;
            f.write_str("</bdi>")?;
        }
        Html.write_escaped_str(&mut *f, self.after)
    }
}

/// A text with a count, `{}`. Languages with more than two plural forms use one that fits any count.
#[derive(Clone, Copy, Debug)]
pub struct PluralMessage {
    pub one: &'static str,
    pub many: &'static str,
}

impl PluralMessage {
    pub(crate) fn of(self, count: u64) -> String {
        let text = if count == 1 { self.one } else { self.many };
        text.replace("{}", &count.to_string())
    }
}
