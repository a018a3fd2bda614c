//! The identity of a GitHub user, and the choice among their verified e-mail addresses.

use countersign_core::{Identity, Trace};
use serde::Deserialize;

use super::api::{Api, ApiError, is_login};
use crate::oauth::{UpstreamError, null_as_default};

const USER: &str = "user API";
const EMAILS: &str = "e-mail API";

#[derive(Deserialize)]
pub(super) struct User {
    id: u64,
    pub login: String,
    #[serde(default)]
    name: Option<String>,
    /// The address of the public profile.
    #[serde(default)]
    email: Option<String>,
}

#[derive(Deserialize)]
struct Address {
    email: String,
    #[serde(default, deserialize_with = "null_as_default")]
    primary: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    verified: bool,
}

pub(super) async fn user(api: &Api<'_>, trace: &mut Trace) -> Result<User, ApiError> {
    let user: User = api.get(USER, "/user", trace).await?.json()?;
    match is_login(&user.login) {
        true => Ok(user),
        false => Err(UpstreamError::Person("the login is not one of GitHub's".to_owned()).into()),
    }
}

impl User {
    /// The identity without e-mail address and groups.
    pub fn identity(&self, login_as_id: bool) -> Identity {
        let name = self.name.clone().filter(|name| !name.is_empty());
        Identity {
            user_id: match login_as_id {
                true => self.login.clone(),
                false => self.id.to_string(),
            },
            username: name.unwrap_or_else(|| self.login.clone()),
            preferred_username: self.login.clone(),
            ..Identity::default()
        }
    }

    pub fn note_changed_login(&self, before: &Identity, now: &Identity, trace: &mut Trace) {
        let was = &before.preferred_username;
        if *was == self.login {
            return;
        }
        let same = match before.user_id == now.user_id {
            true => "the number is the same, and so is the person",
            false => "with useLoginAsID that is somebody else",
        };
        trace.note(format!("the login {was} is now {}: {same}", self.login));
    }
}

/// The rules for choosing the e-mail address.
pub(super) struct Addresses {
    /// An Enterprise Server may have no verified addresses.
    pub may_be_unverified: bool,
    /// A domain, where a label may be `*`.
    pub preferred_domain: Option<String>,
}

impl Addresses {
    /// Chooses as Dex does: an address of the preferred domain, otherwise (without a preferred domain) the public one,
    /// otherwise the primary one. Unlike in Dex, the public address must be a verified one. `None`: there is no
    /// verified address.
    pub async fn choose(
        &self,
        api: &Api<'_>,
        user: &User,
        trace: &mut Trace,
    ) -> Result<Option<String>, ApiError> {
        let reply = api.list(EMAILS, "/user/emails", trace).await;
        if let Err(ApiError::Failed(failure)) = &reply
            && matches!(failure.status(), Some(403 | 404))
        {
            trace.note("the application may not see addresses: it needs the scope user:email");
        }
        let all: Vec<Address> = reply?;
        let none_verified = self.may_be_unverified && all.iter().all(|address| !address.verified);
        if none_verified && !all.is_empty() {
            trace.note("this server verifies no addresses: they are accepted, as in Dex");
        }
        let (accepted, others): (Vec<_>, Vec<_>) =
            all.iter().partition(|address| none_verified || address.verified);
        for address in others {
            trace.excluded(&address.email, "is not verified");
        }
        let found = match &self.preferred_domain {
            Some(pattern) => accepted.iter().find(|address| is_of(&address.email, pattern)),
            None => accepted
                .iter()
                .find(|address| user.email.as_ref().is_some_and(|public| address.is(public))),
        };
        let found = found.or_else(|| accepted.iter().find(|address| address.primary));
        match found {
            Some(address) => trace.included(&address.email, "the address that is returned"),
            None => trace.excluded(&user.login, "has no verified primary address"),
        }
        Ok(found.map(|address| address.email.clone()))
    }
}

impl Address {
    fn is(&self, other: &str) -> bool {
        self.email.eq_ignore_ascii_case(other)
    }
}

/// Compares label by label: `*.example.com` matches `a.example.com`, but neither `example.com` nor `a.b.example.com`.
fn is_of(email: &str, pattern: &str) -> bool {
    let Some((_, domain)) = email.split_once('@') else { return false };
    let fits = |(label, wanted): (&str, &str)| wanted == "*" || label.eq_ignore_ascii_case(wanted);
    !domain.contains('@')
        && domain.split('.').count() == pattern.split('.').count()
        && domain.split('.').zip(pattern.split('.')).all(fits)
}

#[cfg(test)]
mod tests {
    use super::is_of;

    /// Threat 95.
    #[test]
    fn a_domain_is_compared_label_by_label() {
        for (email, pattern, expected) in [
            ("jane@example.com", "example.com", true),
            ("jane@EXAMPLE.com", "example.com", true),
            ("jane@example.com.evil", "example.com", false),
            ("jane@evil-example.com", "example.com", false),
            ("jane@example.com@evil.net", "example.com", false),
            ("\"jane@example.com\"@evil.net", "example.com", false),
            ("jane", "example.com", false),
            ("jane@eu.example.com", "*.example.com", true),
            ("jane@example.com", "*.example.com", false),
            ("jane@a.b.example.com", "*.example.com", false),
            ("jane@a.b.example.com", "*.*.example.com", true),
        ] {
            assert_eq!(is_of(email, pattern), expected, "{email} {pattern}");
        }
    }
}
