//! Diagnosis of a user for an administrator: a login without the password and with more trace steps. It binds only as
//! the service account, so it cannot lock an account.

use countersign_core::connector::AccountDiagnosis;
use countersign_core::{Identity, Trace};

use super::entry::Entry;
use super::failure::DirectoryError;
use super::groups::{self, Detail};
use super::pool::{Deadline, Lease};
use super::search::{SearchLimit, SearchRequest};
use super::{Ldap, person, search};

/// At most this many entries that the filter excludes are listed.
const LEFT_OUT: usize = 5;

pub(super) async fn person(
    ldap: &Ldap,
    login: &str,
    trace: &mut Trace,
) -> Result<AccountDiagnosis, DirectoryError> {
    let deadline = Deadline::after(ldap.config.timeout);
    // The connection is not returned to the pool, because diagnoses are rare and their additional searches may fail.
    let mut lease = ldap.pool.lease(deadline, trace).await?;
    let found = ldap.find_by_name(&mut lease, login, trace).await?;
    match found.as_slice() {
        [] => {
            let left_out = trace_left_out(ldap, &mut lease, login, trace).await;
            trace_failure(left_out, trace);
            Ok(refused(format!("no entry answers to the name {login:?}")))
        }
        [entry] => of_entry(ldap, &mut lease, entry, trace).await,
        _ => Ok(refused(format!("more than one entry answers to the name {login:?}"))),
    }
}

/// Records the failure of a search that a login would not make, without failing the diagnosis.
fn trace_failure(left_out: Result<(), DirectoryError>, trace: &mut Trace) {
    if let Err(failure) = left_out {
        trace.note(format!("what the filter leaves out stays unknown: {}", failure.cause()));
    }
}

fn refused(reason: String) -> AccountDiagnosis {
    AccountDiagnosis::Refused { reason }
}

/// Traces everything about an entry, even if a login would be refused.
async fn of_entry(
    ldap: &Ldap,
    lease: &mut Lease<'_>,
    entry: &Entry,
    trace: &mut Trace,
) -> Result<AccountDiagnosis, DirectoryError> {
    let users = &ldap.config.users;
    person::trace_attributes(entry, users, trace);
    person::describe_state(entry, trace);
    let mut groups = Vec::new();
    match &ldap.config.groups {
        None => trace.note("no groupSearch is configured, so there are no groups"),
        Some(search) => {
            groups = groups::of(lease, search, entry, Detail::Full, trace).await?;
            let left_out = groups::left_out(lease, search, entry, trace).await;
            trace_failure(left_out, trace);
        }
    }
    trace.note("no password was tried: whether it has expired shows only at a login");
    if let Some(attribute) = person::disabled_by(entry) {
        return Ok(refused(format!("{attribute}: the account is disabled")));
    }
    Ok(match person::identity(entry, users) {
        Ok(identity) => AccountDiagnosis::Found(Box::new(Identity { groups, ..identity })),
        Err(lacking) => refused(lacking.cause()),
    })
}

/// Traces entries that have this name but do not match the configured filter.
async fn trace_left_out(
    ldap: &Ldap,
    lease: &mut Lease<'_>,
    login: &str,
    trace: &mut Trace,
) -> Result<(), DirectoryError> {
    let users = &ldap.config.users;
    if users.filter.is_empty() {
        return Ok(());
    }
    let pairs = users.username.iter().map(|attribute| (attribute.as_str(), login.as_bytes()));
    let request = SearchRequest {
        base: &users.base,
        scope: users.scope,
        filter: search::any_of(&format!("(!{})", users.filter), pairs),
        attributes: vec!["1.1"],
        limit: SearchLimit::First(LEFT_OUT),
    };
    trace.request(format!("what the filter leaves out: {}", request.describe()));
    let entries = lease.search(&request, trace).await?;
    trace.response(if entries.is_empty() { "no entry" } else { "entries that have the name" });
    for entry in entries {
        let reason = format!("not matched by userSearch.filter {}", users.filter);
        trace.excluded(&entry.dn, &reason);
    }
    Ok(())
}
