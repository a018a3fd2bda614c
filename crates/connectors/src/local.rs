//! Local users, connector id `local`: `staticPasswords` of the configuration file, and those of the database.
//!
//! Every attempt costs exactly one hash verification, whether or not the user exists; for an unknown user its cost is
//! that of a configured user. Nothing is stored.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use aws_lc_rs::hmac;
use countersign_core::connector::{
    AccountDiagnosis, ConnectorError, Fingerprint, LoginMethod, LoginOutcome, PasswordLogin,
    Refresh, RefreshOutcome, RefreshRequest, Refusal, SignedIn,
};
use countersign_core::stored::canonical_email as canonical;
use countersign_core::{
    Connector, ConnectorId, Identity, LocalUsers, LoginScopes, Secret, StoredUser, Trace,
};

use crate::password::{Hashing, HashingError, PasswordHash, check_password};

mod users;

pub use users::{LocalUser, read_users};

/// The connector that `enablePasswordDB` adds, as in Dex, and the handle to its stored users.
pub fn connector(users: Vec<LocalUser>, hashing: Hashing) -> (Connector, Arc<dyn LocalUsers>) {
    let local = Arc::new(Local::new(users, hashing));
    let users = Arc::clone(&local) as Arc<dyn LocalUsers>;
    let connector = Connector {
        id: ConnectorId::new("local"),
        kind: "local",
        name: "Email".to_owned(),
        login_method: LoginMethod::Password(local.clone()),
        refresh: Some(local),
        fingerprint: Fingerprint::PerUser,
    };
    (connector, users)
}

/// Users of the configuration file and of the database.
struct Local {
    /// Users of the configuration file, which take precedence over stored ones with the same address.
    configured: Vec<LocalUser>,
    /// All users; replaced as a whole.
    directory: RwLock<Arc<Directory>>,
    hashing: Hashing,
}

struct Directory {
    users: HashMap<String, LocalUser>,
    dummies: Dummies,
}

impl Directory {
    fn new(users: Vec<LocalUser>) -> Self {
        let dummies = Dummies::like(&users);
        let mut by_email = HashMap::new();
        for user in users {
            by_email.entry(canonical(&user.email)).or_insert(user);
        }
        Self { users: by_email, dummies }
    }

    /// The user of a session: by address and id, or by the id alone if the address was changed. The same address with
    /// another id is another user.
    fn known(&self, identity: &Identity) -> Option<&LocalUser> {
        let same = |user: &&LocalUser| user.user_id == identity.user_id;
        self.users.get(&canonical(&identity.email)).filter(same).or_else(|| {
            let mut with_id = self.users.values().filter(same);
            with_id.next().filter(|_| with_id.next().is_none())
        })
    }
}

impl Local {
    fn new(configured: Vec<LocalUser>, hashing: Hashing) -> Self {
        let directory = Directory::new(configured.clone());
        Self { configured, directory: RwLock::new(Arc::new(directory)), hashing }
    }

    fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl LocalUsers for Local {
    fn is_configured(&self, email: &str) -> bool {
        let email = canonical(email);
        self.configured.iter().any(|user| canonical(&user.email) == email)
    }

    fn fingerprint(&self, user: &StoredUser) -> Result<String, String> {
        LocalUser::of_stored(user).map(|user| user.hash.fingerprint())
    }

    fn configured(&self) -> Vec<StoredUser> {
        let without_hash = |user: &LocalUser| StoredUser {
            email: user.email.clone(),
            hash: Secret::default(),
            username: user.username.clone(),
            name: user.name.clone(),
            preferred_username: user.preferred_username.clone(),
            user_id: user.user_id.clone(),
            groups: user.groups.clone(),
            email_verified: user.email_verified,
        };
        self.configured.iter().map(without_hash).collect()
    }

    fn replace_stored(&self, stored: &[StoredUser]) {
        let mut users = self.configured.clone();
        for user in stored {
            match LocalUser::of_stored(user) {
                Ok(user) => users.push(user),
                Err(reason) => {
                    tracing::error!(user_id = %user.user_id, reason = %reason, "a stored user cannot sign in");
                }
            }
        }
        let directory = Arc::new(Directory::new(users));
        *self.directory.write().unwrap_or_else(PoisonError::into_inner) = directory;
    }
}

#[async_trait]
impl PasswordLogin for Local {
    fn prompt(&self) -> &'static str {
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
        let directory = self.directory();
        let Some(user) = directory.users.get(&email) else {
            trace.response(format!("no such user among {}", directory.users.len()));
            return Ok(AccountDiagnosis::Refused {
                reason: format!("there is no local user {email:?}"),
            });
        };
        trace.response("found");
        trace.note(format!("the password is kept as {}", user.hash.describe()));
        let group = |group: &String| (format!("group {group:?}"), "the user's own");
        user.groups.iter().map(group).for_each(|(what, reason)| trace.included(&what, reason));
        trace.note("no password was tried");
        Ok(AccountDiagnosis::Found(Box::new(user.signed_in().identity)))
    }

    async fn login(
        &self,
        login: &str,
        password: &Secret,
        _login_scopes: LoginScopes,
        trace: &mut Trace,
    ) -> Result<LoginOutcome, ConnectorError> {
        let refused = Ok(LoginOutcome::Refused(Refusal::BadCredentials));
        if let Err(unusable) = check_password(password) {
            trace.note(format!("refused before hashing: {unusable}"));
            return refused;
        }
        let email = canonical(login);
        trace.request(format!("the local user {email}"));
        let directory = self.directory();
        let user = directory.users.get(&email);
        trace.response(if user.is_some() { "found" } else { "no such user" });
        let Some(hash) = user.map(|user| &user.hash).or_else(|| directory.dummies.of(&email))
        else {
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
            trace.note("the password is longer than the 72 bytes that bcrypt hashes");
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
    /// A changed hash has another fingerprint, with which the issuer rejects the session.
    async fn refresh(
        &self,
        known: RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, ConnectorError> {
        let directory = self.directory();
        let Some(user) = directory.known(known.identity) else {
            trace.response("there is no such user any more");
            return Ok(RefreshOutcome::Disabled);
        };
        trace.response("the user exists");
        Ok(RefreshOutcome::Current(Box::new(user.signed_in())))
    }

    fn needs_no_request(&self) -> bool {
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

/// Dummy hashes that no password matches, verified for unknown names. Their parameters occur as often as in the
/// configured hashes, and a keyed hash of the name selects one, so the duration does not reveal whether the name
/// exists, even with hashes of different costs.
struct Dummies {
    /// One per user, in the order of the parameters; empty only if none could be created.
    hashes: Vec<Arc<PasswordHash>>,
    key: hmac::Key,
}

impl Dummies {
    /// The key is derived from the users' hashes, which are secret, so that every replica selects alike, also after a
    /// restart: the name of a user never has another cost, unless the password changes.
    fn like(users: &[LocalUser]) -> Self {
        let secret = users.iter().map(|user| user.hash.fingerprint()).min();
        let key = secret.unwrap_or_else(|| "no users".to_owned());
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
        hashes.sort_by_key(|hash| hash.parameters());
        Self { hashes, key: hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()) }
    }

    /// The number is scaled to the hashes instead of taking a remainder: one user more or fewer then changes the selection
    /// of few names.
    fn of(&self, canonical_email: &str) -> Option<&Arc<PasswordHash>> {
        let tag = hmac::sign(&self.key, canonical_email.as_bytes());
        let mut number = [0; 8];
        number.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        let count = u128::try_from(self.hashes.len()).ok()?;
        let scaled = (u128::from(u64::from_be_bytes(number)) * count) >> u64::BITS;
        self.hashes.get(usize::try_from(scaled).ok()?)
    }
}

impl LocalUser {
    /// `Err` is why the user could not sign in, without the hash.
    fn of_stored(user: &StoredUser) -> Result<Self, String> {
        if user.user_id.is_empty() {
            return Err(
                "it has no user id, so its claim sub would be that of everybody without one"
                    .to_owned(),
            );
        }
        let hash =
            PasswordHash::parse(user.hash.expose()).map_err(|bad| format!("the hash {bad}"))?;
        Ok(Self {
            email: user.email.clone(),
            hash: Arc::new(hash),
            username: user.username.clone(),
            user_id: user.user_id.clone(),
            name: user.name.clone(),
            preferred_username: user.preferred_username.clone(),
            email_verified: user.email_verified,
            groups: user.groups.clone(),
        })
    }

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
