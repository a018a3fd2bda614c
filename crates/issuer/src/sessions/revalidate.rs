//! Revalidates the identity of a session at its upstream: a lease allows one request per session at a time, and an
//! upstream refresh token that another request has already used is never presented again.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::connector::{Refresh, RefreshOutcome, RefreshRequest, SignedIn};
use countersign_core::{Connector, Secret, Session, Timestamp, Trace};
use countersign_store::Snapshot;

use super::{RejectReason, RevalidatedSession, Revalidation};
use crate::circuit_breakers::{LOGIN_COMPLETION_TIME, RefusalOutcome, UpstreamRefusal};
use crate::upstream_health::Op;
use crate::{Issuer, IssuerError};

const UPSTREAM_DATA: &str = "upstream data";
/// How long one request may hold the lease.
const LEASE: Duration = Duration::from_secs(30);
/// First pause of a request that waits for the lease; it doubles, since each attempt is a write.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

impl Issuer {
    /// Refreshes the identity when it is older than `sessions.upstreamRefreshInterval` (design section 5).
    /// A concurrent request for the same session waits for the result of the first.
    pub async fn revalidate(&self, session: Session) -> Result<Revalidation, IssuerError> {
        let Some(connector) = self.connectors.get(&session.connector) else {
            return Ok(Revalidation::Rejected(RejectReason::CannotRevalidate));
        };
        let connector = &*connector;
        if self.fingerprint_changed(&session) {
            return Ok(Revalidation::Rejected(RejectReason::FingerprintChanged));
        }
        // Some upstreams issue a refresh token only if the login requested offline access.
        let can_refresh =
            |r: &&Arc<dyn Refresh>| session.login_scopes.offline || !r.needs_offline_login();
        let Some(refresh) = connector.refresh.as_ref().filter(can_refresh) else {
            return Ok(self.valid_unless_old(session));
        };
        if refresh.needs_no_request() {
            return self.refresh_identity(connector, &**refresh, session, None).await;
        }
        let age = self.now().since(session.identity_at);
        if age < self.settings.sign_on.upstream_refresh_interval {
            return Ok(valid(session, None));
        }
        if self.skips_revalidation(connector, &session)? {
            return Ok(valid(session, None));
        }
        self.refresh_or_wait(connector, &**refresh, session).await
    }

    /// For a session whose upstream cannot be asked again: valid until its identity is older than
    /// `sessions.maxSnapshotAge`. An identity of the last minute is accepted however short that is; otherwise no login
    /// could be completed.
    fn valid_unless_old(&self, session: Session) -> Revalidation {
        let age = self.now().since(session.identity_at);
        match age > self.settings.sign_on.max_snapshot_age && age > LOGIN_COMPLETION_TIME {
            true => Revalidation::Rejected(RejectReason::CannotRevalidate),
            false => valid(session, None),
        }
    }

    /// Refreshes while holding the lease, or waits until the holder has stored a result or released it.
    async fn refresh_or_wait(
        &self,
        connector: &Connector,
        refresh: &dyn Refresh,
        mut session: Session,
    ) -> Result<Revalidation, IssuerError> {
        let seen = session.identity_at;
        let (mut waited, mut pause) = (Duration::ZERO, FIRST_PAUSE);
        while waited < WAIT_TIMEOUT {
            let now = self.now();
            let lease = now + LEASE;
            if self.store.lease_upstream(&session.id, now, lease).await? {
                return self.refresh_with_lease(connector, refresh, &session, lease).await;
            }
            tokio::time::sleep(pause).await;
            waited += pause;
            pause = LONGEST_PAUSE.min(pause * 2);
            let Some(current) = self.store.session(&session.id).await? else { break };
            session = current;
            if session.ended.is_some() {
                break;
            }
            if session.identity_at > seen {
                return Ok(valid(session, None));
            }
        }
        match session.ended {
            Some(_) => Ok(Revalidation::Rejected(RejectReason::Ended)),
            None => Err(IssuerError::Unavailable {
                what: connector.name.clone(),
                cause: "another request to this upstream is still running".to_owned(),
            }),
        }
    }

    /// Reads the session again after acquiring the lease: the previous holder may have used the upstream refresh token,
    /// and presenting a used one can revoke the user's tokens at the upstream.
    async fn refresh_with_lease(
        &self,
        connector: &Connector,
        refresh: &dyn Refresh,
        before: &Session,
        lease: Timestamp,
    ) -> Result<Revalidation, IssuerError> {
        let revalidation = match self.store.session(&before.id).await {
            Err(error) => Err(error.into()),
            Ok(None) => return Ok(Revalidation::Rejected(RejectReason::Ended)),
            Ok(Some(current)) if current.ended.is_some() => {
                return Ok(Revalidation::Rejected(RejectReason::Ended));
            }
            Ok(Some(current)) if current.identity_at > before.identity_at => {
                self.store.release_upstream(&before.id, lease).await?;
                return Ok(valid(current, None));
            }
            Ok(Some(current)) => {
                self.refresh_identity(connector, refresh, current, Some(lease)).await
            }
        };
        // Storing a new identity releases the lease, and so does the end of the session.
        let releases_lease = match &revalidation {
            Err(_) => false,
            Ok(Revalidation::Valid(checked)) => checked.snapshot.is_some(),
            Ok(Revalidation::Rejected(reason)) => *reason == RejectReason::Ended,
        };
        if !releases_lease {
            self.store.release_upstream(&before.id, lease).await?;
        }
        revalidation
    }

    pub(super) async fn refresh_identity(
        &self,
        connector: &Connector,
        refresh: &dyn Refresh,
        session: Session,
        lease: Option<Timestamp>,
    ) -> Result<Revalidation, IssuerError> {
        let upstream = self.open_upstream(session.upstream.as_deref())?;
        let known = RefreshRequest {
            identity: &session.identity,
            upstream: upstream.as_ref(),
            login_scopes: session.login_scopes,
            now: self.now(),
        };
        let mut trace = Trace::default();
        let call = refresh.refresh(known, &mut trace);
        let result = self.call_connector(connector, Op::Refresh, call).await;
        for step in trace.steps() {
            tracing::debug!(connector = %session.connector, session = %session.id, kind = ?step.kind, "{}", step.text);
        }
        let is_current = match &result {
            Ok(RefreshOutcome::Current(person)) => is_same_user(person, &session),
            _ => false,
        };
        if !is_current {
            self.keep_successor(refresh, &session, upstream.as_ref()).await?;
        }
        let refusal = match result.map_err(|down| IssuerError::upstream(&down))? {
            RefreshOutcome::Current(person) => {
                self.record_success(&session);
                return self.accept_refresh(session, *person, lease);
            }
            RefreshOutcome::NotPossible => return Ok(self.valid_unless_old(session)),
            RefreshOutcome::Disabled => UpstreamRefusal::Disabled,
            RefreshOutcome::Missing { reason } => UpstreamRefusal::Missing { reason },
        };
        // If the user has signed in again since the session was read, the upstream has refused the login before, and
        // returned the identity of the session as it is now.
        let current = self.store.session(&session.id).await?;
        if let Some(current) = current.filter(|current| current.auth_time > session.auth_time) {
            return Ok(match current.ended {
                Some(_) => Revalidation::Rejected(RejectReason::Ended),
                None => valid(current, None),
            });
        }
        let outcome =
            self.record_refusal(connector, &session, refusal, refresh.needs_no_request()).await?;
        Ok(Revalidation::Rejected(match outcome {
            RefusalOutcome::Marked { reason } => RejectReason::Missing { reason },
            RefusalOutcome::SessionEnded => RejectReason::Ended,
        }))
    }

    /// Stores what the upstream returned for a refresh token that was used in vain: the identity could not be read
    /// afterwards, or the user is refused. The upstream does not accept the used token again, so the next revalidation
    /// would be refused and could end the session.
    async fn keep_successor(
        &self,
        refresh: &dyn Refresh,
        session: &Session,
        upstream: Option<&Secret>,
    ) -> Result<(), IssuerError> {
        let (Some(upstream), Some(before)) = (upstream, &session.upstream) else { return Ok(()) };
        let successor = refresh.successor(upstream).await;
        if let Some(after) = self.seal_upstream(successor.as_ref())? {
            self.store.replace_upstream(&session.id, before, &after).await?;
        }
        Ok(())
    }

    fn accept_refresh(
        &self,
        mut session: Session,
        person: SignedIn,
        lease: Option<Timestamp>,
    ) -> Result<Revalidation, IssuerError> {
        if person
            .fingerprint
            .as_ref()
            .is_some_and(|fingerprint| *fingerprint != session.fingerprint)
        {
            return Ok(Revalidation::Rejected(RejectReason::FingerprintChanged));
        }
        if !is_same_user(&person, &session) {
            return Ok(Revalidation::Rejected(RejectReason::FingerprintChanged));
        }
        if lease.is_none() && person.identity == session.identity {
            return Ok(valid(session, None));
        }
        let used_upstream = session.upstream.clone();
        let upstream = match &person.upstream {
            Some(data) => self.seal_upstream(Some(data))?,
            None => used_upstream.clone(),
        };
        session.identity = person.identity;
        session.identity_at = self.now();
        session.upstream.clone_from(&upstream);
        let snapshot = Snapshot {
            session: session.id.clone(),
            identity: session.identity.clone(),
            fingerprint: session.fingerprint.clone(),
            upstream,
            used_upstream,
            auth_time: session.auth_time,
            lease,
            now: session.identity_at,
        };
        Ok(valid(session, Some(snapshot)))
    }

    /// Seals upstream data, such as the upstream's refresh token, under the root key.
    pub fn seal_upstream(&self, data: Option<&Secret>) -> Result<Option<String>, IssuerError> {
        data.map(|data| self.root.seal(UPSTREAM_DATA, data.expose().as_bytes()))
            .transpose()
            .map_err(IssuerError::from)
    }

    fn open_upstream(&self, sealed: Option<&str>) -> Result<Option<Secret>, IssuerError> {
        let Some(sealed) = sealed else { return Ok(None) };
        let bytes = self
            .root
            .open(UPSTREAM_DATA, sealed)
            .map_err(|e| IssuerError::Broken(format!("upstream data cannot be opened: {e}")))?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| IssuerError::Broken("upstream data is not text".to_owned()))?;
        Ok(Some(Secret::new(text)))
    }
}

fn is_same_user(person: &SignedIn, session: &Session) -> bool {
    person.identity.user_id == session.identity.user_id
}

fn valid(session: Session, snapshot: Option<Snapshot>) -> Revalidation {
    Revalidation::Valid(Box::new(RevalidatedSession { session, snapshot }))
}
