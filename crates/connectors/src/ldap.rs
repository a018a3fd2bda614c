//! LDAP and Active Directory: finds the user's entry as the service account, verifies the password by a bind as that
//! entry on a separate connection, and reads the groups.
//!
//! Referrals are not followed, aliases not dereferenced, binds with an empty password never sent, and passwords sent
//! without TLS only with `insecureNoSSL`. Every attempt that reaches the directory costs one search and one bind,
//! whether or not the name is known; how long the directory itself takes to compare a password remains measurable.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_config::Section;
use countersign_core::connector::{
    AccountDiagnosis, ConnectorError, Fingerprint, LoginMethod, LoginOutcome, PasswordLogin,
    Refresh, RefreshOutcome, RefreshRequest, Refusal, SignedIn,
};
use countersign_core::{Connector, ConnectorId, LoginScopes, Secret, Trace};

use crate::attempt_name::attempt_name;

mod bind;
mod config;
mod connection;
mod diagnose;
mod entry;
mod failure;
mod groups;
mod message_check;
mod person;
mod pool;
mod refresh;
mod search;
pub(crate) mod tls;

pub use bind::UserBinds;

use bind::BindOutcome;
use config::Config;
use entry::Entry;
use failure::DirectoryError;
use groups::Detail;
use pool::{Deadline, Lease, Pool};
use refresh::Remembered;
use search::{SearchLimit, SearchRequest};

/// Longer login names and passwords are refused without a request to the directory.
const MAX_LOGIN_BYTES: usize = 1024;
const MAX_PASSWORD_BYTES: usize = 4096;

/// Reads the connector. `None` if the section cannot be used; every problem is recorded in it.
pub(crate) fn read(id: ConnectorId, name: String, section: Section<'_>) -> Option<Connector> {
    read_counting(id, name, section, UserBinds::default())
}

/// Like [`read`], with the caller's counter of binds: for a metric, and for tests that an unknown name costs the same
/// as a wrong password.
pub fn read_counting(
    id: ConnectorId,
    name: String,
    section: Section<'_>,
    binds: UserBinds,
) -> Option<Connector> {
    let config = Arc::new(config::read(section)?);
    let fingerprint = config.fingerprint();
    let pool = Pool::new(config.clone(), binds);
    let ldap = Arc::new(Ldap { id: id.clone(), config, pool });
    Some(Connector {
        id,
        kind: "ldap",
        name,
        login_method: LoginMethod::Password(ldap.clone()),
        refresh: Some(ldap),
        fingerprint: Fingerprint::Upstream(fingerprint),
    })
}

struct Ldap {
    id: ConnectorId,
    config: Arc<Config>,
    pool: Pool,
}

#[async_trait]
impl PasswordLogin for Ldap {
    fn prompt(&self) -> &str {
        &self.config.prompt
    }

    fn canonical(&self, login: &str) -> String {
        attempt_name(login)
    }

    async fn diagnose(
        &self,
        login: &str,
        trace: &mut Trace,
    ) -> Result<AccountDiagnosis, ConnectorError> {
        if let Some(reason) = invalid_name_reason(login) {
            trace.note(format!("refused before any request: {reason}"));
            return Ok(AccountDiagnosis::Refused { reason: reason.to_owned() });
        }
        diagnose::person(self, login, trace).await.map_err(|failure| self.broken(failure, trace))
    }

    async fn login(
        &self,
        login: &str,
        password: &Secret,
        login_scopes: LoginScopes,
        trace: &mut Trace,
    ) -> Result<LoginOutcome, ConnectorError> {
        if let Some(reason) = unfit(login, password) {
            trace.note(format!("refused before any request: {reason}"));
            return Ok(LoginOutcome::Refused(Refusal::BadCredentials));
        }
        self.sign_in(login, password, login_scopes, trace)
            .await
            .map_err(|failure| self.broken(failure, trace))
    }
}

#[async_trait]
impl Refresh for Ldap {
    async fn refresh(
        &self,
        known: RefreshRequest<'_>,
        trace: &mut Trace,
    ) -> Result<RefreshOutcome, ConnectorError> {
        refresh::revalidate(self, &known, trace)
            .await
            .map_err(|failure| self.broken(failure, trace))
    }
}

/// Why a login is refused without a request to the directory. An empty password must be: a bind with it is
/// unauthenticated, and many servers answer success (RFC 4513 section 5.1.2).
fn unfit(login: &str, password: &Secret) -> Option<&'static str> {
    if password.is_empty() {
        return Some("the password is empty");
    }
    if password.expose().len() > MAX_PASSWORD_BYTES {
        return Some("the password is too long");
    }
    invalid_name_reason(login)
}

fn invalid_name_reason(login: &str) -> Option<&'static str> {
    if login.trim().is_empty() {
        return Some("the name is empty");
    }
    if login.len() > MAX_LOGIN_BYTES {
        return Some("the name is too long");
    }
    login.contains('\0').then_some("the name contains a NUL character")
}

impl Ldap {
    fn broken(&self, failure: DirectoryError, trace: &mut Trace) -> ConnectorError {
        failure.into_connector_error(&self.id, trace)
    }

    async fn sign_in(
        &self,
        login: &str,
        password: &Secret,
        login_scopes: LoginScopes,
        trace: &mut Trace,
    ) -> Result<LoginOutcome, DirectoryError> {
        let refused = |refusal| Ok(LoginOutcome::Refused(refusal));
        let deadline = Deadline::after(self.config.timeout);
        let mut lease = self.pool.lease(deadline, trace).await?;
        let found = self.find_by_name(&mut lease, login, trace).await?;
        let Some(person) = only_one(found, trace) else {
            self.dummy_bind(&lease, trace).await?;
            lease.give_back();
            return refused(Refusal::BadCredentials);
        };
        match self.bind_as_person(&lease, &person, password, trace).await? {
            BindOutcome::Accepted { note } => {
                let note = note.map(|note| format!("; {note}")).unwrap_or_default();
                trace.response(format!("the password is right{note}"));
            }
            BindOutcome::Refused { refusal, reason } => {
                trace.response(reason);
                lease.give_back();
                return refused(refusal);
            }
        }
        // Only after the password is verified, so that the response does not reveal the account's state to others.
        if let Some(attribute) = person::disabled_by(&person) {
            trace.excluded(&person.dn, &format!("{attribute}: the account is disabled"));
            lease.give_back();
            return refused(Refusal::AccountDisabled);
        }
        let signed_in = self.signed_in(&mut lease, login, &person, login_scopes, trace).await?;
        lease.give_back();
        Ok(LoginOutcome::Accepted(Box::new(signed_in)))
    }

    async fn find_by_name(
        &self,
        lease: &mut Lease<'_>,
        login: &str,
        trace: &mut Trace,
    ) -> Result<Vec<Entry>, DirectoryError> {
        let attributes = &self.config.users.username;
        let pairs = attributes.iter().map(|attribute| (attribute.as_str(), login.as_bytes()));
        self.find(lease, search::any_of(&self.config.users.filter, pairs), trace).await
    }

    /// The entries that match, at most two: a second one suffices to refuse the login.
    async fn find(
        &self,
        lease: &mut Lease<'_>,
        filter: String,
        trace: &mut Trace,
    ) -> Result<Vec<Entry>, DirectoryError> {
        let request = SearchRequest {
            base: &self.config.users.base,
            scope: self.config.users.scope,
            filter,
            attributes: person::attributes(&self.config),
            limit: SearchLimit::First(2),
        };
        trace.request(request.describe());
        let found = lease.search(&request, trace).await?;
        trace.response(match found.as_slice() {
            [] => "no entry".to_owned(),
            entries => entries.iter().map(|e| e.dn.as_str()).collect::<Vec<_>>().join("; "),
        });
        Ok(found)
    }

    /// Binds as the user on a separate connection, which is closed afterwards, to the host that returned the entry.
    async fn bind_as_person(
        &self,
        lease: &Lease<'_>,
        person: &Entry,
        password: &Secret,
        trace: &mut Trace,
    ) -> Result<BindOutcome, DirectoryError> {
        if person.dn.is_empty() {
            return Err(DirectoryError::Misconfigured(
                "the entry found has no DN to bind as".to_owned(),
            ));
        }
        let (host, deadline) = (lease.host(), lease.deadline());
        trace.request(format!("bind at {host} as {}", person.dn));
        let who = (person.dn.as_str(), password);
        let result = self.pool.bind_person(host, who, deadline, trace).await?;
        bind::bind_outcome(&result)
    }

    /// Takes as long as a wrong password, for names with no entry or several: a bind on the same kind of connection
    /// with a DN and password of our own. Its result is ignored.
    async fn dummy_bind(&self, lease: &Lease<'_>, trace: &mut Trace) -> Result<(), DirectoryError> {
        let (dn, password) = bind::dummy_credentials(&self.config.users.base);
        let host = lease.host();
        trace.request(format!("bind at {host} as {dn}, to take as long as a wrong password"));
        let who = (dn.as_str(), &password);
        let result = self.pool.bind_person(host, who, lease.deadline(), trace).await?;
        trace.response(failure::describe(&result));
        if bind::refuses_simple_binds(&result) {
            return Err(DirectoryError::of_result("bind", &result));
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "five beside self")]
    async fn signed_in(
        &self,
        lease: &mut Lease<'_>,
        login: &str,
        person: &Entry,
        login_scopes: LoginScopes,
        trace: &mut Trace,
    ) -> Result<SignedIn, DirectoryError> {
        let mut identity = person::identity(person, &self.config.users)?;
        match &self.config.groups {
            _ if !login_scopes.groups => trace.note("groups were not requested"),
            None => trace.note("no groupSearch is configured, so there are no groups"),
            Some(search) => {
                identity.groups = groups::of(lease, search, person, Detail::Brief, trace).await?;
            }
        }
        if let Some(member) = identity.member_with_nul() {
            return Err(DirectoryError::Incomplete {
                missing: format!("The {member} in your directory entry contains a NUL character."),
                cause: format!("the {member} of {} contains a NUL character", person.dn),
            });
        }
        let remembered = Remembered::new(login, &person.dn);
        Ok(SignedIn { identity, upstream: remembered.into_secret(), fingerprint: None })
    }
}

/// Several entries with the same name are refused, whatever the password.
fn only_one(mut found: Vec<Entry>, trace: &mut Trace) -> Option<Entry> {
    if found.len() > 1 {
        trace.note("more than one entry answers to this name: refused");
        tracing::warn!(entries = ?found.iter().map(|e| &e.dn).collect::<Vec<_>>(),
            "an LDAP name belongs to more than one entry; the login is refused");
        return None;
    }
    found.pop()
}

#[cfg(test)]
mod tests;
