//! Why a directory returned no usable response, whether another host may return one, and whether the failure is
//! temporary.

use countersign_core::connector::ConnectorError;
use countersign_core::{ConnectorId, Trace};

use ldap3::LdapResult;

use super::config::Host;

const BIND_DN_REQUIRED: &str = "; the directory wants a bindDN and a bindPW";

/// Contains no password; the server's diagnostic text is shortened to one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DirectoryError {
    /// This host is unreachable or unavailable; another host may respond.
    Host { cause: String, is_permanent: bool },
    /// Temporary, but not specific to this host.
    Busy(String),
    /// The configuration or the service account's permissions must be corrected.
    Misconfigured(String),
    /// An entry lacks a configured attribute. `missing` is a sentence for the user.
    Incomplete { missing: String, cause: String },
}

impl DirectoryError {
    /// This host did not respond, which is temporary.
    pub fn no_response(cause: impl Into<String>) -> Self {
        Self::Host { cause: cause.into(), is_permanent: false }
    }

    /// This host will fail again in the same way (certificate, no StartTLS).
    pub fn unusable_host(cause: impl Into<String>) -> Self {
        Self::Host { cause: cause.into(), is_permanent: true }
    }

    pub fn cause(self) -> String {
        match self {
            Self::Host { cause, .. }
            | Self::Busy(cause)
            | Self::Misconfigured(cause)
            | Self::Incomplete { cause, .. } => cause,
        }
    }

    /// The error of the connector traits; its cause is noted in the trace.
    pub fn into_connector_error(self, upstream: &ConnectorId, trace: &mut Trace) -> ConnectorError {
        let missing = match &self {
            Self::Host { is_permanent: false, .. } | Self::Busy(_) => None,
            Self::Host { .. } => {
                Some("This server cannot make a secure connection to the directory.".to_owned())
            }
            Self::Misconfigured(_) => {
                Some("The connection to the directory is not configured correctly.".to_owned())
            }
            Self::Incomplete { missing, .. } => Some(missing.clone()),
        };
        let (upstream, cause) = (upstream.to_string(), self.cause());
        trace.note(format!("failed: {cause}"));
        match missing {
            None => ConnectorError::Unavailable { upstream, cause },
            Some(missing) => ConnectorError::Misconfigured { upstream, missing, cause },
        }
    }

    /// A result other than success of the operation `what`.
    pub fn of_result(what: &str, result: &LdapResult) -> Self {
        let cause = format!("{what}: {}", describe(result));
        // RFC 4511 appendix A.2.
        match result.rc {
            // busy, unavailable: this host only.
            51 | 52 => Self::no_response(cause),
            // timeLimitExceeded, other (an internal error of the server).
            3 | 80 => Self::Busy(cause),
            _ => Self::Misconfigured(cause),
        }
    }

    /// The bind as the service account was refused.
    pub fn of_service_bind(host: &Host, anonymous: bool, result: &LdapResult) -> Self {
        let who = if anonymous { "binding anonymously" } else { "binding as bindDN" };
        let advice = match (anonymous, result.rc) {
            (true, 7 | 48 | 49 | 50 | 53) => BIND_DN_REQUIRED,
            (false, 32 | 34) => "; bindDN is not the name of an entry there",
            (false, 49) => "; bindDN or bindPW is wrong",
            _ => "",
        };
        Self::of_result(&format!("{host}: {who}"), result).with(advice)
    }

    pub fn of_search(result: &LdapResult) -> Self {
        let advice = match result.rc {
            // Active Directory's result for an anonymous search that is not permitted.
            1 if result.text.contains("successful bind must be completed") => BIND_DN_REQUIRED,
            4 => "; raise the directory's size limit for the bind user",
            32 => "; the base does not exist or may not be seen",
            34 => "; the base is not a DN",
            50 => "; the bind user lacks the right",
            _ => "",
        };
        Self::of_result("search", result).with(advice)
    }

    fn with(self, advice: &str) -> Self {
        match self {
            Self::Misconfigured(cause) => Self::Misconfigured(format!("{cause}{advice}")),
            other => other,
        }
    }
}

/// A result with its diagnostic text, on one line of bounded length.
pub(super) fn describe(result: &LdapResult) -> String {
    let advice = match result.rc {
        8 | 13 => "; it demands TLS",
        10 => "; referrals are not followed",
        _ => "",
    };
    let text: String = result.to_string().chars().filter(|c| !c.is_control()).take(300).collect();
    format!("{text}{advice}")
}
