//! The things that can go wrong on the way, by name, so that every page about one has the same text.

use super::messages::{ErrorMessages, Messages};

/// What an error page is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageErrorKind {
    /// The login in flight is gone, too old, finished, or another browser's.
    LoginExpired,
    /// A form was posted without its right CSRF value.
    FormExpired,
    /// `client_id` is missing or not known.
    UnknownClient,
    /// The redirect URI is not registered for the client.
    UnregisteredRedirectUri,
    /// Anything else wrong with the request before it may be answered by a redirect.
    BadRequest,
    /// The user, or the upstream, denied it.
    Refused,
    /// The account is disabled, or may not use this application.
    NotAllowed,
    /// An administrator has blocked the person.
    Blocked,
    /// Signed in, but in none of the groups the page lists.
    MissingGroups,
    /// Signed in, but the upstream does not say that the e-mail address is the person's.
    EmailNotVerified,
    /// This way in leads only through the company's own proxy.
    ProxyRequired,
    /// Signed in, but in no group of administrators.
    NotAdministrator,
    /// The configuration names no group of administrators.
    NoAdministratorConfigured,
    /// The upstream answered with something we cannot use.
    UpstreamFailed,
    /// The connector's configuration or the person's data at the upstream lacks something.
    UpstreamMisconfigured,
    /// The upstream does not answer.
    UpstreamDown,
    NotFound,
    MethodNotAllowed,
    TooManyRequests,
    Internal,
    /// We cannot reach our own database, or are stopping.
    Unavailable,
    /// Our database did not confirm a change, which may have been made.
    OutcomeUnknown,
}

impl PageErrorKind {
    pub const ALL: [PageErrorKind; 22] = [
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
        PageErrorKind::UpstreamMisconfigured,
        PageErrorKind::UpstreamDown,
        PageErrorKind::NotFound,
        PageErrorKind::MethodNotAllowed,
        PageErrorKind::TooManyRequests,
        PageErrorKind::Internal,
        PageErrorKind::Unavailable,
        PageErrorKind::OutcomeUnknown,
    ];

    /// The HTTP status the page goes with.
    pub fn status(self) -> u16 {
        match self {
            PageErrorKind::LoginExpired
            | PageErrorKind::UnknownClient
            | PageErrorKind::UnregisteredRedirectUri
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

    /// For a refusal of which nothing is known but its status.
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
