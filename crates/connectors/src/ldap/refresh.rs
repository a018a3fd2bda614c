//! Refreshes the identity of a user without their password.

use countersign_core::connector::{RefreshOutcome, RefreshRequest};
use countersign_core::{Secret, Trace};
use serde::{Deserialize, Serialize};

use super::entry::{Entry, filter_value, is_dn, same_dn};
use super::failure::DirectoryError;
use super::pool::{Deadline, Lease};
use super::{Ldap, person, search};

/// Stored with a session for refreshes. Dex's `connectorData` can be parsed as well.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// The login name as entered.
    #[serde(default)]
    username: String,
    #[serde(default)]
    dn: String,
    /// Dex stores the whole entry.
    #[serde(default, skip_serializing)]
    entry: Option<DexEntry>,
}

#[derive(Deserialize)]
struct DexEntry {
    #[serde(default, rename = "DN")]
    dn: String,
}

impl Remembered {
    pub fn new(username: &str, dn: &str) -> Self {
        Self { username: username.to_owned(), dn: dn.to_owned(), entry: None }
    }

    pub fn into_secret(self) -> Option<Secret> {
        serde_json::to_string(&self).ok().map(Secret::new)
    }

    fn of(secret: Option<&Secret>) -> Self {
        let mut remembered: Self = secret
            .and_then(|secret| serde_json::from_str(secret.expose()).ok())
            .unwrap_or_default();
        if let Some(entry) = remembered.entry.take().filter(|_| remembered.dn.is_empty()) {
            remembered.dn = entry.dn;
        }
        remembered
    }
}

pub(super) async fn revalidate(
    ldap: &Ldap,
    known: &RefreshRequest<'_>,
    trace: &mut Trace,
) -> Result<RefreshOutcome, DirectoryError> {
    let remembered = Remembered::of(known.upstream);
    let deadline = Deadline::after(ldap.config.timeout);
    let mut lease = ldap.pool.lease(deadline, trace).await?;
    let Some(person) = find(ldap, &mut lease, &remembered, known, trace).await? else {
        lease.give_back();
        let reason = "the directory no longer has this person".to_owned();
        return Ok(RefreshOutcome::Missing { reason });
    };
    if !remembered.dn.is_empty() && !same_dn(&remembered.dn, &person.dn) {
        trace.note(format!("the entry was {} and is now {}", remembered.dn, person.dn));
    }
    if let Some(attribute) = person::disabled_by(&person) {
        trace.excluded(&person.dn, &format!("{attribute}: the account is disabled"));
        lease.give_back();
        return Ok(RefreshOutcome::Disabled);
    }
    let username = &remembered.username;
    let signed_in =
        ldap.signed_in(&mut lease, username, &person, known.login_scopes, trace).await?;
    lease.give_back();
    Ok(RefreshOutcome::Current(Box::new(signed_in)))
}

/// The entry with the remembered DN, if it is still the same user; otherwise the entry with the same id, wherever it
/// was moved. An entry of another user with the same name is never accepted.
async fn find(
    ldap: &Ldap,
    lease: &mut Lease<'_>,
    remembered: &Remembered,
    known: &RefreshRequest<'_>,
    trace: &mut Trace,
) -> Result<Option<Entry>, DirectoryError> {
    let users = &ldap.config.users;
    let id = known.identity.user_id.as_str();
    let is_same = |entry: &Entry| match person::user_id(entry, users) {
        Some(now) if is_dn(&users.id) => same_dn(&now, id),
        Some(now) => now == id,
        None => false,
    };
    if !remembered.username.is_empty() {
        let found = ldap.find_by_name(lease, &remembered.username, trace).await?;
        match found.as_slice() {
            [entry] if is_same(entry) => return Ok(Some(entry.clone())),
            [entry] => trace.excluded(&entry.dn, "it answers to the name but is another person"),
            _ => {}
        }
    }
    if id.is_empty() {
        return Ok(None);
    }
    // The attributes for an entry's own DN: RFC 5020, and Active Directory's.
    let attributes =
        if is_dn(&users.id) { vec!["entryDN", "distinguishedName"] } else { vec![&*users.id] };
    let value = filter_value(&users.id, id);
    let pairs = attributes.into_iter().map(|attribute| (attribute, value.as_slice()));
    let by_id = search::any_of(&users.filter, pairs);
    let found = ldap.find(lease, by_id, trace).await?;
    // An id that two entries have identifies neither of them.
    match found.as_slice() {
        [entry] if is_same(entry) => Ok(Some(entry.clone())),
        _ => Ok(None),
    }
}
