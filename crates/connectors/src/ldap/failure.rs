//! Why a directory gave no usable answer, and whether another host may give one.

use ldap3::LdapResult;

use super::config::Host;

const WANTS_BIND_DN: &str = "; the directory wants a bindDN and a bindPW";

/// Holds no password; what a server says of its own is cut to a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// This host cannot be spoken to, or says it cannot serve now.
    Host(String),
    /// It answered, and asking another would not help.
    Answer(String),
}

impl Failure {
    pub fn cause(self) -> String {
        match self {
            Self::Host(cause) | Self::Answer(cause) => cause,
        }
    }

    /// A result other than success, while doing what `what` says.
    pub fn of_result(what: &str, result: &LdapResult) -> Self {
        let cause = format!("{what}: {}", describe(result));
        // busy and unavailable (RFC 4511 appendix A.2) are about the host.
        if matches!(result.rc, 51 | 52) { Self::Host(cause) } else { Self::Answer(cause) }
    }

    /// The service account was not let in.
    pub fn of_service_bind(host: &Host, anonymous: bool, result: &LdapResult) -> Self {
        let who = if anonymous { "binding anonymously" } else { "binding as bindDN" };
        let advice = match (anonymous, result.rc) {
            (true, 7 | 48 | 49 | 50 | 53) => WANTS_BIND_DN,
            (false, 32 | 34) => "; bindDN is not the name of an entry there",
            (false, 49) => "; bindDN or bindPW is wrong",
            _ => "",
        };
        Self::of_result(&format!("{host}: {who}"), result).with(advice)
    }

    pub fn of_search(result: &LdapResult) -> Self {
        let advice = match result.rc {
            // How Active Directory says that an anonymous search is not allowed.
            1 if result.text.contains("successful bind must be completed") => WANTS_BIND_DN,
            32 => "; the base does not exist or may not be seen",
            34 => "; the base is not a DN",
            50 => "; the bind user lacks the right",
            _ => "",
        };
        Self::of_result("search", result).with(advice)
    }

    fn with(self, advice: &str) -> Self {
        match self {
            Self::Host(cause) => Self::Host(cause),
            Self::Answer(cause) => Self::Answer(format!("{cause}{advice}")),
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
