//! The people of the configuration file: `staticPasswords`, connector id `local`.
//!
//! Every attempt costs exactly one verification, whether or not the user exists. Nothing is written.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::connector::{
    AccountDiagnosis, ConnectorError, Fingerprint, LoginMethod, LoginOutcome, PasswordLogin,
    Refresh, RefreshOutcome, RefreshRequest, Refusal, SignedIn,
};
use countersign_core::{Connector, ConnectorId, Identity, LoginScopes, Secret, Trace};

use crate::password::{Hashing, PasswordHash, check_password};

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
    /// Verified in place of an unknown user's hash. `None` only if it could not be made, and then
    /// nobody gets in.
    dummy: Option<Arc<PasswordHash>>,
    hashing: Hashing,
}

impl Local {
    fn new(users: Vec<LocalUser>, hashing: Hashing) -> Self {
        let dearest = users.iter().map(|user| &user.hash).max_by_key(|hash| hash.work());
        let dummy = PasswordHash::dummy(dearest.map(AsRef::as_ref)).ok().map(Arc::new);
        let users = users.into_iter().map(|user| (canonical(&user.email), user)).collect();
        Self { users, dummy, hashing }
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
        let busy =
            |cause: String| ConnectorError::Unavailable { upstream: "local".to_owned(), cause };
        if let Err(unusable) = check_password(password) {
            trace.note(format!("refused before hashing: {unusable}"));
            return refused;
        }
        let email = canonical(login);
        trace.request(format!("the local user {email}"));
        let user = self.users.get(&email);
        trace.response(if user.is_some() { "found" } else { "no such user" });
        let Some(hash) = user.map(|user| &user.hash).or(self.dummy.as_ref()) else {
            return Err(ConnectorError::Misconfigured {
                upstream: "local".to_owned(),
                missing: "The local users are not configured correctly.".to_owned(),
                cause: "the hash for unknown users could not be made".to_owned(),
            });
        };
        let can_tell = hash.can_tell(password);
        let matches = self
            .hashing
            .verify(hash.clone(), password.clone())
            .await
            .map_err(|too_many| busy(too_many.to_string()))?;
        let Some(user) = user else { return refused };
        if !can_tell {
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
