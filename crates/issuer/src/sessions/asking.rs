//! Asking an upstream again about somebody who is signed in: one request a session at a time, by a lease,
//! and never with what somebody else has used up meanwhile.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::connector::{Refresh, RefreshOutcome, RefreshRequest, SignedIn};
use countersign_core::{Connector, Secret, Session, Timestamp, Trace};
use countersign_store::Snapshot;

use super::{Checked, Refused, Upstream};
use crate::circuit_breakers::Said;
use crate::upstream_health::Op;
use crate::{Issuer, IssuerError};

const UPSTREAM_DATA: &str = "upstream data";
/// How long one replica may hold the right to ask an upstream about a session.
const LEASE: Duration = Duration::from_secs(30);
/// Who waits for it looks again after this, then more and more rarely: each look is a write.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);
const PATIENCE: Duration = Duration::from_secs(10);

impl Issuer {
    /// Asks the upstream again when what it said is no longer fresh (design 5). One request a session
    /// at a time, by a lease; whoever comes second waits for the first one's answer.
    pub async fn ask_upstream(&self, session: Session) -> Result<Upstream, IssuerError> {
        let Some(connector) = self.connectors.get(&session.connector) else {
            return Ok(Upstream::Refused(Refused::Unaskable));
        };
        if self.fingerprint_changed(&session) {
            return Ok(Upstream::Refused(Refused::Changed));
        }
        let age = self.now().since(session.identity_at);
        let policy = &self.settings.sign_on;
        // Some upstreams can be asked again only if the login asked for that.
        let asked =
            |r: &&Arc<dyn Refresh>| session.login_scopes.offline || !r.needs_offline_login();
        let Some(refresh) = connector.refresh.as_ref().filter(asked) else {
            return Ok(match age > policy.max_snapshot_age {
                true => Upstream::Refused(Refused::Unaskable),
                false => welcome(session, None),
            });
        };
        if refresh.is_free() {
            return self.ask(connector, &**refresh, session, false).await;
        }
        if age < policy.upstream_refresh_interval {
            return Ok(welcome(session, None));
        }
        if self.skips_revalidation(connector, &session)? {
            return Ok(welcome(session, None));
        }
        self.ask_or_wait(connector, &**refresh, session).await
    }

    /// Whoever has the lease asks; the others look again until there is news, or the lease is free.
    async fn ask_or_wait(
        &self,
        connector: &Connector,
        refresh: &dyn Refresh,
        mut session: Session,
    ) -> Result<Upstream, IssuerError> {
        let seen = session.identity_at;
        let (mut waited, mut pause) = (Duration::ZERO, LOOK_AGAIN);
        while waited < PATIENCE {
            let now = self.now();
            if self.store.lease_upstream(&session.id, now, now + LEASE).await? {
                return self.ask_with_lease(connector, refresh, &session, seen).await;
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
                return Ok(welcome(session, None));
            }
        }
        match session.ended {
            Some(_) => Ok(Upstream::Refused(Refused::Ended)),
            None => Err(IssuerError::Unavailable {
                what: connector.name.clone(),
                cause: "another request is still asking this upstream".to_owned(),
            }),
        }
    }

    /// What was read before the lease may be old: whoever had it has spent the upstream's token, and a
    /// spent one that is shown again costs the person everything there.
    async fn ask_with_lease(
        &self,
        connector: &Connector,
        refresh: &dyn Refresh,
        before: &Session,
        seen: Timestamp,
    ) -> Result<Upstream, IssuerError> {
        let asked = match self.store.session(&before.id).await {
            Err(error) => Err(error.into()),
            Ok(None) => return Ok(Upstream::Refused(Refused::Ended)),
            Ok(Some(current)) if current.ended.is_some() => {
                return Ok(Upstream::Refused(Refused::Ended));
            }
            Ok(Some(current)) if current.identity_at > seen => {
                self.store.release_upstream(&before.id).await?;
                return Ok(welcome(current, None));
            }
            Ok(Some(current)) => self.ask(connector, refresh, current, true).await,
        };
        // What brings news releases the lease when it is stored.
        let has_news = match &asked {
            Err(_) | Ok(Upstream::Refused(Refused::Changed | Refused::Unaskable)) => false,
            Ok(Upstream::Welcome(checked)) => checked.snapshot.is_some(),
            Ok(Upstream::Refused(_)) => true,
        };
        if !has_news {
            self.store.release_upstream(&before.id).await?;
        }
        asked
    }

    pub(super) async fn ask(
        &self,
        connector: &Connector,
        refresh: &dyn Refresh,
        session: Session,
        leased: bool,
    ) -> Result<Upstream, IssuerError> {
        let upstream = self.open_upstream(session.upstream.as_deref())?;
        let known = RefreshRequest {
            identity: &session.identity,
            upstream: upstream.as_ref(),
            login_scopes: session.login_scopes,
            now: self.now(),
        };
        let mut trace = Trace::default();
        let asking = refresh.refresh(known, &mut trace);
        let answer = self.ask_connector(connector, Op::Refresh, asking).await;
        for step in trace.steps() {
            tracing::debug!(connector = %session.connector, session = %session.id, kind = ?step.kind, "{}", step.text);
        }
        let said = match answer.map_err(|down| IssuerError::upstream(&down))? {
            RefreshOutcome::Current(person) => {
                self.is_welcome(&session);
                return self.current(session, *person, leased);
            }
            RefreshOutcome::NotPossible => {
                let is_old =
                    self.now().since(session.identity_at) > self.settings.sign_on.max_snapshot_age;
                return Ok(match is_old {
                    true => Upstream::Refused(Refused::Unaskable),
                    false => welcome(session, None),
                });
            }
            RefreshOutcome::Disabled => Said::Disabled,
            RefreshOutcome::Missing { why } => Said::Missing { why },
        };
        self.is_refused(connector, &session, said, refresh.is_free()).await
    }

    fn current(
        &self,
        mut session: Session,
        person: SignedIn,
        leased: bool,
    ) -> Result<Upstream, IssuerError> {
        if person
            .fingerprint
            .as_ref()
            .is_some_and(|fingerprint| *fingerprint != session.fingerprint)
        {
            return Ok(Upstream::Refused(Refused::Changed));
        }
        if person.identity.user_id != session.identity.user_id {
            return Ok(Upstream::Refused(Refused::Changed));
        }
        if !leased && person.identity == session.identity {
            return Ok(welcome(session, None));
        }
        let upstream = match &person.upstream {
            Some(data) => self.seal_upstream(Some(data))?,
            None => session.upstream.clone(),
        };
        session.identity = person.identity;
        session.identity_at = self.now();
        session.upstream.clone_from(&upstream);
        let snapshot = Snapshot {
            session: session.id.clone(),
            identity: session.identity.clone(),
            fingerprint: session.fingerprint.clone(),
            upstream,
            now: session.identity_at,
        };
        Ok(welcome(session, Some(snapshot)))
    }

    pub(crate) fn seal_upstream(
        &self,
        data: Option<&Secret>,
    ) -> Result<Option<String>, IssuerError> {
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

fn welcome(session: Session, snapshot: Option<Snapshot>) -> Upstream {
    Upstream::Welcome(Box::new(Checked { session, snapshot }))
}
