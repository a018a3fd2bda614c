//! The things that can go wrong on the way, by name, so that every page about one says the same words.

use super::texts::{Texts, Words};

/// What an error page is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The login in flight is gone, too old, finished, or another browser's.
    StartAgain,
    /// A form was posted without its right CSRF value.
    FormExpired,
    /// `client_id` is missing or not known.
    UnknownApp,
    /// The redirect URI is not registered for the client.
    WrongRedirect,
    /// Anything else wrong with the request before it may be answered by a redirect.
    BadRequest,
    /// The person, or the upstream, said no.
    Refused,
    /// The account is disabled, or may not use this application.
    NotAllowed,
    /// Signed in, but in none of the groups the page lists.
    MissingGroups,
    /// Signed in, but the upstream does not say that the e-mail address is the person's.
    EmailNotVerified,
    /// This way in leads only through the company's own proxy.
    NotThroughProxy,
    /// Signed in, but in no group of administrators.
    NoAdministrator,
    /// The configuration names no group of administrators.
    NobodyIsAdministrator,
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
}

impl Problem {
    pub const ALL: [Problem; 20] = [
        Problem::StartAgain,
        Problem::FormExpired,
        Problem::UnknownApp,
        Problem::WrongRedirect,
        Problem::BadRequest,
        Problem::Refused,
        Problem::NotAllowed,
        Problem::MissingGroups,
        Problem::EmailNotVerified,
        Problem::NotThroughProxy,
        Problem::NoAdministrator,
        Problem::NobodyIsAdministrator,
        Problem::UpstreamFailed,
        Problem::UpstreamMisconfigured,
        Problem::UpstreamDown,
        Problem::NotFound,
        Problem::MethodNotAllowed,
        Problem::TooManyRequests,
        Problem::Internal,
        Problem::Unavailable,
    ];

    /// The HTTP status the page goes with.
    pub fn status(self) -> u16 {
        match self {
            Problem::StartAgain
            | Problem::UnknownApp
            | Problem::WrongRedirect
            | Problem::BadRequest => 400,
            Problem::FormExpired
            | Problem::Refused
            | Problem::NotAllowed
            | Problem::MissingGroups
            | Problem::EmailNotVerified
            | Problem::NotThroughProxy
            | Problem::NoAdministrator
            | Problem::NobodyIsAdministrator => 403,
            Problem::NotFound => 404,
            Problem::MethodNotAllowed => 405,
            Problem::TooManyRequests => 429,
            Problem::Internal => 500,
            Problem::UpstreamFailed | Problem::UpstreamMisconfigured => 502,
            Problem::UpstreamDown | Problem::Unavailable => 503,
        }
    }

    /// For a refusal of which nothing is known but its status.
    pub fn of_status(status: u16) -> Self {
        match status {
            404 => Problem::NotFound,
            405 => Problem::MethodNotAllowed,
            429 => Problem::TooManyRequests,
            500 => Problem::Internal,
            502..=504 => Problem::Unavailable,
            _ => Problem::BadRequest,
        }
    }

    pub(super) fn words(self, texts: &Texts) -> Words {
        let t = &texts.problems;
        match self {
            Problem::StartAgain => t.start_again,
            Problem::FormExpired => t.form_expired,
            Problem::UnknownApp => t.unknown_app,
            Problem::WrongRedirect => t.wrong_redirect,
            Problem::BadRequest => t.bad_request,
            Problem::Refused => t.refused,
            Problem::NotAllowed => t.not_allowed,
            Problem::MissingGroups => t.missing_groups,
            Problem::EmailNotVerified => t.email_not_verified,
            Problem::NotThroughProxy => t.not_through_proxy,
            Problem::NoAdministrator => texts.admin.no_administrator,
            Problem::NobodyIsAdministrator => texts.admin.nobody_is,
            Problem::UpstreamFailed => t.upstream_failed,
            Problem::UpstreamMisconfigured => t.upstream_misconfigured,
            Problem::UpstreamDown => t.upstream_down,
            Problem::NotFound => t.not_found,
            Problem::MethodNotAllowed => t.method_not_allowed,
            Problem::TooManyRequests => t.too_many_requests,
            Problem::Internal => t.internal,
            Problem::Unavailable => t.unavailable,
        }
    }
}
