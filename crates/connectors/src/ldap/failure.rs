//! Why a directory gave no usable answer, and whether another host may give one.

use ldap3::LdapResult;

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
}

/// A result with its diagnostic text, on one line of bounded length.
pub(super) fn describe(result: &LdapResult) -> String {
    let advice = match result.rc {
        8 | 13 => "; it demands TLS",
        10 => "; referrals are not followed",
        32 => "; the base does not exist or may not be seen",
        50 => "; the bind user lacks the right",
        _ => "",
    };
    let text: String = result.to_string().chars().filter(|c| !c.is_control()).take(300).collect();
    format!("{text}{advice}")
}
