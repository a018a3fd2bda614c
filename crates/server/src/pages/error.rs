//! The error page: what happened, what to do, and the reference under which the log has the cause. The text of a kind
//! of error is the same everywhere.

use askama::Template;

use super::href::PageLink;
use super::layout::Layout;
use super::messages::{ErrorMessages, Messages};
use super::name::Name;

/// Longest detail shown, in characters.
const LONGEST_DETAIL: usize = 1024;

#[derive(Template)]
#[template(path = "pages/error.html")]
pub struct ErrorPage<'a> {
    pub layout: &'a Layout,
    pub messages: ErrorMessages,
    /// The HTTP status, shown beside the reference.
    pub status: u16,
    /// Values for the text: the groups of [`PageErrorKind::MissingGroups`], the name of the upstream of
    /// [`PageErrorKind::UpstreamDown`].
    pub items: Vec<Name>,
    /// Lines for the operator of the client, such as the received client id and redirect URI. Never an upstream's own
    /// message.
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

/// The kind of error that a page reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageErrorKind {
    /// The pending login is missing, expired, completed, or belongs to another browser.
    LoginExpired,
    /// A form was posted without a valid CSRF token.
    FormExpired,
    /// `client_id` is missing or unknown.
    UnknownClient,
    /// The redirect URI is not registered for the client.
    UnregisteredRedirectUri,
    /// Another error in the request before the redirect URI is verified.
    BadRequest,
    /// The user or the upstream denied the request.
    Refused,
    /// The account is disabled, or may not use this client.
    NotAllowed,
    /// An administrator has blocked the user.
    Blocked,
    /// Signed in, but not in any of the listed groups.
    MissingGroups,
    /// Signed in, but the upstream does not report the e-mail address as verified.
    EmailNotVerified,
    /// This connector can be used only through the authenticating proxy.
    ProxyRequired,
    /// Signed in, but not in a group of administrators.
    NotAdministrator,
    /// No group of administrators is configured.
    NoAdministratorConfigured,
    /// The upstream's response cannot be used.
    UpstreamFailed,
    /// The response of the upstream or the proxy that the browser presents is invalid, such as unsigned SAML.
    InvalidResponse,
    /// The connector's configuration or the user's data at the upstream is incomplete.
    UpstreamMisconfigured,
    /// The upstream does not respond.
    UpstreamDown,
    NotFound,
    MethodNotAllowed,
    TooManyRequests,
    Internal,
    /// The database is unavailable, or the server is shutting down.
    Unavailable,
    /// Our database did not confirm a change, which may have been made.
    OutcomeUnknown,
}

impl PageErrorKind {
    pub const ALL: [PageErrorKind; 23] = [
        PageErrorKind::LoginExpired,
        PageErrorKind::FormExpired,
        PageErrorKind::UnknownClient,
        PageErrorKind::UnregisteredRedirectUri,
        PageErrorKind::BadRequest,
        PageErrorKind::Refused,
        PageErrorKind::NotAllowed,
        PageErrorKind::Blocked,
        PageErrorKind::MissingGroups,
        PageErrorKind::EmailNotVerified,
        PageErrorKind::ProxyRequired,
        PageErrorKind::NotAdministrator,
        PageErrorKind::NoAdministratorConfigured,
        PageErrorKind::UpstreamFailed,
        PageErrorKind::InvalidResponse,
        PageErrorKind::UpstreamMisconfigured,
        PageErrorKind::UpstreamDown,
        PageErrorKind::NotFound,
        PageErrorKind::MethodNotAllowed,
        PageErrorKind::TooManyRequests,
        PageErrorKind::Internal,
        PageErrorKind::Unavailable,
        PageErrorKind::OutcomeUnknown,
    ];

    /// The HTTP status of the page.
    pub fn status(self) -> u16 {
        match self {
            PageErrorKind::LoginExpired
            | PageErrorKind::UnknownClient
            | PageErrorKind::UnregisteredRedirectUri
            | PageErrorKind::InvalidResponse
            | PageErrorKind::BadRequest => 400,
            PageErrorKind::FormExpired
            | PageErrorKind::Refused
            | PageErrorKind::NotAllowed
            | PageErrorKind::Blocked
            | PageErrorKind::MissingGroups
            | PageErrorKind::EmailNotVerified
            | PageErrorKind::ProxyRequired
            | PageErrorKind::NotAdministrator
            | PageErrorKind::NoAdministratorConfigured => 403,
            PageErrorKind::NotFound => 404,
            PageErrorKind::MethodNotAllowed => 405,
            PageErrorKind::TooManyRequests => 429,
            PageErrorKind::Internal => 500,
            PageErrorKind::UpstreamFailed | PageErrorKind::UpstreamMisconfigured => 502,
            PageErrorKind::UpstreamDown
            | PageErrorKind::Unavailable
            | PageErrorKind::OutcomeUnknown => 503,
        }
    }

    /// The user signed in and was refused; the same account is refused again until an administrator changes something.
    pub fn refuses_account(self) -> bool {
        matches!(
            self,
            PageErrorKind::NotAllowed
                | PageErrorKind::Blocked
                | PageErrorKind::MissingGroups
                | PageErrorKind::EmailNotVerified
                | PageErrorKind::NotAdministrator
                | PageErrorKind::UpstreamMisconfigured
        )
    }

    /// The kind for an error response without details.
    pub fn of_status(status: u16) -> Self {
        match status {
            404 => PageErrorKind::NotFound,
            405 => PageErrorKind::MethodNotAllowed,
            429 => PageErrorKind::TooManyRequests,
            500 => PageErrorKind::Internal,
            502..=504 => PageErrorKind::Unavailable,
            _ => PageErrorKind::BadRequest,
        }
    }

    pub(crate) fn messages(self, messages: &Messages) -> ErrorMessages {
        let t = &messages.problems;
        match self {
            PageErrorKind::LoginExpired => t.start_again,
            PageErrorKind::FormExpired => t.form_expired,
            PageErrorKind::UnknownClient => t.unknown_app,
            PageErrorKind::UnregisteredRedirectUri => t.wrong_redirect,
            PageErrorKind::BadRequest => t.bad_request,
            PageErrorKind::Refused => t.refused,
            PageErrorKind::NotAllowed => t.not_allowed,
            PageErrorKind::Blocked => t.blocked,
            PageErrorKind::MissingGroups => t.missing_groups,
            PageErrorKind::EmailNotVerified => t.email_not_verified,
            PageErrorKind::ProxyRequired => t.not_through_proxy,
            PageErrorKind::NotAdministrator => messages.admin.no_administrator,
            PageErrorKind::NoAdministratorConfigured => messages.admin.nobody_is,
            PageErrorKind::UpstreamFailed => t.upstream_failed,
            PageErrorKind::InvalidResponse => t.invalid_response,
            PageErrorKind::UpstreamMisconfigured => t.upstream_misconfigured,
            PageErrorKind::UpstreamDown => t.upstream_down,
            PageErrorKind::NotFound => t.not_found,
            PageErrorKind::MethodNotAllowed => t.method_not_allowed,
            PageErrorKind::TooManyRequests => t.too_many_requests,
            PageErrorKind::Internal => t.internal,
            PageErrorKind::Unavailable => t.unavailable,
            PageErrorKind::OutcomeUnknown => t.outcome_unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::ENGLISH;
    use super::PageErrorKind;

    #[test]
    fn every_problem_has_words_and_a_status_of_its_kind() {
        for problem in PageErrorKind::ALL {
            let messages = problem.messages(&ENGLISH);
            assert!((400..=503).contains(&problem.status()), "{problem:?}");
            assert!(
                [messages.title, messages.happened, messages.todo]
                    .iter()
                    .all(|text| !text.is_empty()),
                "{problem:?}"
            );
        }
    }
}
