//! The users of the configuration file: `staticPasswords`, connector id `local`.
//!
//! Every attempt costs exactly one verification, whether or not the user exists, and for a user that does not exist
//! one whose cost a configured user could have. Nothing is stored.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::hmac;
use countersign_core::connector::{
    AccountDiagnosis, ConnectorError, Fingerprint, LoginMethod, LoginOutcome, PasswordLogin,
    Refresh, RefreshOutcome, RefreshRequest, Refusal, SignedIn,
};
use countersign_core::{Connector, ConnectorId, Identity, LoginScopes, Secret, Trace, ids};

use crate::password::{Hashing, HashingError, PasswordHash, check_password};

mod users;

pub use users::{LocalUser, read_users};

/// The connector Dex adds for `enablePasswordDB`.
pub fn connector(users: Vec<LocalUser>, hashing: Hashing) -> Connector {
    let local = Arc::new(Local::new(users, hashing));
    Connector {
        id: ConnectorId::new("local"),
        kind: "local",
        name: "Email".to_owned(),
        login_method: LoginMethod::Password(local.clone()),
        refresh: Some(local),
        fingerprint: Fingerprint::PerUser,
    }
}

/// Case and surrounding space do not make another account. Dex looks up the lower-cased address.
fn canonical(email: &str) -> String {
    email.trim().to_lowercase()
}

struct Local {
    users: HashMap<String, LocalUser>,
    dummies: Dummies,
    hashing: Hashing,
}

impl Local {
    fn new(users: Vec<LocalUser>, hashing: Hashing) -> Self {
        let dummies = Dummies::like(&users);
        let users = users.into_iter().map(|user| (canonical(&user.email), user)).collect();
        Self { users, dummies, hashing }
    }

    /// The person of a session: by address and id, or by the id alone when the address was changed.
    /// Another id at the same address is another person.
    fn known(&self, identity: &Identity) -> Option<&LocalUser> {
        let same = |user: &&LocalUser| user.user_id == identity.user_id;
        self.users.get(&canonical(&identity.email)).filter(same).or_else(|| {
            let mut with_id = self.users.values().filter(same);
            with_id.next().filter(|_| with_id.next().is_none())
        })
    }
}

#[async_trait]
impl PasswordLogin for Local {
    fn prompt(&self) -> &str {
        "Email Address"
    }

    fn canonical(&self, login: &str) -> String {
        canonical(login)
    }

    async fn diagnose(
        &self,
        login: &str,
        trace: &mut Trace,
    ) -> Result<AccountDiagnosis, ConnectorError> {
        let email = canonical(login);
        trace.request(format!("the local user {email}"));
        let Some(user) = self.users.get(&email) else {
            trace.response(format!("no such user among {}", self.users.len()));
            return Ok(AccountDiagnosis::Refused {
                why: format!("there is no local user {email:?}"),
            });
        };
        trace.response("found");
        trace.note(format!("the password is kept as {}", user.hash.describe()));
        let group = |group: &String| (format!("group {group:?}"), "the user's own");
        user.groups.iter().map(group).for_each(|(what, why)| trace.included(&what, why));
        trace.note("no password was tried");
        Ok(AccountDiagnosis::Found(Box::new(user.signed_in().identity)))
    }

    async fn login(
        &self,
        login: &str,
        password: &Secret,
        _wants: LoginScopes,
        trace: &mut Trace,
    ) -> Result<LoginOutcome, ConnectorError> {
        let refused = Ok(LoginOutcome::Refused(Refusal::BadCredentials));
        if let Err(unusable) = check_password(password) {
            trace.note(format!("refused before hashing: {unusable}"));
            return refused;
        }
        let email = canonical(login);
        trace.request(format!("the local user {email}"));
        let user = self.users.get(&email);
        trace.response(if user.is_some() { "found" } else { "no such user" });
        let Some(hash) = user.map(|user| &user.hash).or_else(|| self.dummies.of(&email)) else {
            return Err(misconfigured("the hash for unknown users could not be made".to_owned()));
        };
        let reads_all = hash.reads_all_of(password);
        let matches = self.hashing.verify(hash.clone(), password.clone()).await;
        let matches = matches.map_err(|error| match error {
            HashingError::Busy => ConnectorError::Unavailable {
                upstream: "local".to_owned(),
                cause: error.to_string(),
            },
            HashingError::TooMuchMemory { .. } => misconfigured(error.to_string()),
        })?;
        let Some(user) = user else { return refused };
        if !reads_all {
            trace.note("the password is longer than the 72 bytes a bcrypt hash can tell apart");
        }
        trace.response(format!(
            "the password {} the {} hash",
            if matches { "matches" } else { "does not match" },
            user.hash.scheme_name()
        ));
        if matches { Ok(LoginOutcome::Accepted(Box::new(user.signed_in()))) } else { refused }
    }
}

#[async_trait]
impl Refresh for Local {
    /// A changed hash shows as another basis, which is for the issuer to refuse.
    async fn refresh(
        &self,
        known: RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, ConnectorError> {
        let Some(user) = self.known(known.identity) else {
            trace.response("the user is no longer in the configuration");
            return Ok(RefreshOutcome::Disabled);
        };
        trace.response("the user is in the configuration");
        Ok(RefreshOutcome::Current(Box::new(user.signed_in())))
    }

    fn is_free(&self) -> bool {
        true
    }
}

fn misconfigured(cause: String) -> ConnectorError {
    ConnectorError::Misconfigured {
        upstream: "local".to_owned(),
        missing: "The local users are not configured correctly.".to_owned(),
        cause,
    }
}

/// Hashes that no password matches, verified for names that belong to nobody. Their parameters are those of the
/// configured hashes, as often as they are configured; which one a name gets is a keyed hash of the name. So the
/// time of an attempt does not show whether the name exists, even where hashes of several costs are mixed.
struct Dummies {
    /// One for each user; empty only if none could be made.
    hashes: Vec<Arc<PasswordHash>>,
    key: hmac::Key,
}

impl Dummies {
    fn like(users: &[LocalUser]) -> Self {
        let mut made = HashMap::new();
        let mut hashes = Vec::new();
        for user in users {
            let dummy = made
                .entry(user.hash.parameters())
                .or_insert_with(|| PasswordHash::dummy(Some(&user.hash)).ok().map(Arc::new));
            hashes.extend(dummy.clone());
        }
        if hashes.is_empty() {
            hashes.extend(PasswordHash::dummy(None).ok().map(Arc::new));
        }
        // The same name gets the same cost for as long as the process lives. Without randomness at start
        // nothing else of the program works either.
        let key = ids::random_bytes::<32>().unwrap_or_default();
        Self { hashes, key: hmac::Key::new(hmac::HMAC_SHA256, &key) }
    }

    fn of(&self, canonical_email: &str) -> Option<&Arc<PasswordHash>> {
        let tag = hmac::sign(&self.key, canonical_email.as_bytes());
        let mut number = [0; 8];
        number.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        let count = u64::try_from(self.hashes.len()).ok().filter(|count| *count > 0)?;
        let index = usize::try_from(u64::from_be_bytes(number) % count).ok()?;
        self.hashes.get(index)
    }
}

impl LocalUser {
    fn signed_in(&self) -> SignedIn {
        let identity = Identity {
            user_id: self.user_id.clone(),
            username: if self.name.is_empty() { &self.username } else { &self.name }.clone(),
            preferred_username: self.preferred_username.clone(),
            email: self.email.clone(),
            email_verified: self.email_verified,
            groups: self.groups.clone(),
        };
        SignedIn { identity, upstream: None, fingerprint: Some(self.hash.fingerprint()) }
    }
}

#[cfg(test)]
mod tests;
