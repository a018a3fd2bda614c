//! Sessions: which one a browser has, whether its upstream still agrees, and how the browser's half ends.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::connector::{Basis, Known, Refresh, Refreshed, SignedIn};
use countersign_core::session::EndReason;
use countersign_core::{Client, Connector, Grant, GrantId, Secret, Session, Trace, Wants};
use countersign_jose::hash;
use countersign_store::{SignedOut, Snapshot};

use crate::brakes::Said;
use crate::settings::SignOnPolicy;
use crate::upstream_health::Op;
use crate::{Failure, Issuer};

const UPSTREAM_DATA: &str = "upstream data";
/// How long one replica may hold the right to ask an upstream about a session.
const LEASE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const LOOKS: u32 = 200;

/// What the upstream says of a person whose session lives.
pub enum Upstream {
    Welcome(Box<Checked>),
    Refused(Refused),
}

/// The session as it is now. `snapshot` is news that is not stored yet: it is committed together
/// with whatever is given on the strength of it.
pub struct Checked {
    pub session: Session,
    pub snapshot: Option<Snapshot>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The connector is gone, or cannot be asked again and what it said is too old.
    Unaskable,
    /// It was built on another password or directory than today's.
    Changed,
    Missing {
        why: String,
    },
    /// The session is over.
    Ended,
}

impl Issuer {
    /// The live session of this cookie, if our own pages may still go by it.
    pub async fn browser_session(
        &self,
        cookie: Option<&Secret>,
    ) -> Result<Option<Session>, Failure> {
        self.session_within(&self.settings.sign_on, cookie).await
    }

    /// The live session of this cookie, if it may still be used to sign on to this client.
    pub async fn browser_session_for(
        &self,
        client: &Client,
        cookie: Option<&Secret>,
    ) -> Result<Option<Session>, Failure> {
        self.session_within(&self.settings.sign_on_of(client), cookie).await
    }

    /// The live session of this cookie, if it may still be used for anything at all.
    pub async fn held_session(&self, cookie: Option<&Secret>) -> Result<Option<Session>, Failure> {
        self.session_within(&self.settings.longest_sign_on(), cookie).await
    }

    async fn session_within(
        &self,
        policy: &SignOnPolicy,
        cookie: Option<&Secret>,
    ) -> Result<Option<Session>, Failure> {
        let Some(cookie) = cookie.filter(|cookie| !cookie.is_empty()) else { return Ok(None) };
        let now = self.now();
        let found = self.store.session_by_cookie(&hash::sha256(cookie.expose())).await?;
        Ok(found.filter(|session| policy.admits(session, now)))
    }

    /// Does everything this session stands on still stand: the session itself, its connector, the
    /// client's right to it, the account? No upstream is called.
    pub async fn stands(
        &self,
        client: Option<&Client>,
        session: &Session,
    ) -> Result<bool, Failure> {
        let connector = match client {
            Some(client) => self.connectors.allowed(client, &session.connector),
            None => self.connectors.get(&session.connector),
        };
        let Some(connector) = connector else { return Ok(false) };
        if session.ended.is_some() || self.basis_changed(session) {
            return Ok(false);
        }
        match &connector.refresh {
            Some(refresh) if refresh.is_free() => {
                let asked = self.ask(connector, &**refresh, session.clone(), false).await?;
                Ok(matches!(asked, Upstream::Welcome(_)))
            }
            _ => Ok(true),
        }
    }

    /// A grant with its session, while they and all they stand on live.
    pub(crate) async fn living_grant(
        &self,
        id: &GrantId,
    ) -> Result<Option<(Grant, Session)>, Failure> {
        let Some((grant, session)) = self.store.grant(id).await? else { return Ok(None) };
        let Some(owner) = self.clients.get(&grant.client) else { return Ok(None) };
        if grant.ended.is_some() || !self.stands(Some(owner), &session).await? {
            return Ok(None);
        }
        Ok(Some((grant, session)))
    }

    /// The session with what its upstream says of the person now, as fresh as any login's.
    pub(crate) async fn up_to_date(&self, session: Session) -> Result<Option<Session>, Failure> {
        let Upstream::Welcome(checked) = self.ask_upstream(session).await? else {
            return Ok(None);
        };
        let session = checked.session;
        let Some(snapshot) = checked.snapshot else { return Ok(Some(session)) };
        match self.store.update_snapshot(snapshot).await {
            Ok(true) => Ok(Some(session)),
            Ok(false) => Ok(None),
            Err(error) => {
                self.store.release_upstream(&session.id).await?;
                Err(error.into())
            }
        }
    }

    /// The connector answers for another directory now than at sign-in.
    pub fn basis_changed(&self, session: &Session) -> bool {
        match self.connectors.get(&session.connector).map(|connector| &connector.basis) {
            Some(Basis::Upstream(basis)) => *basis != session.basis,
            Some(Basis::Person) => false,
            None => true,
        }
    }

    /// What of these wants a session must have asked for at its login: `offline` only where the
    /// connector can otherwise not be asked again.
    pub(crate) fn askable(&self, session: &Session, wants: Wants) -> Wants {
        let refresh = self.connectors.get(&session.connector).and_then(|c| c.refresh.as_ref());
        let at_login = refresh.is_some_and(|refresh| refresh.needs_offline_login());
        Wants { offline: wants.offline && at_login, ..wants }
    }

    /// Asks the upstream again when what it said is no longer fresh (design 5). One request a session
    /// at a time, by a lease; whoever comes second waits for the first one's answer.
    pub async fn ask_upstream(&self, session: Session) -> Result<Upstream, Failure> {
        let Some(connector) = self.connectors.get(&session.connector) else {
            return Ok(Upstream::Refused(Refused::Unaskable));
        };
        if self.basis_changed(&session) {
            return Ok(Upstream::Refused(Refused::Changed));
        }
        let age = self.now().since(session.identity_at);
        let policy = &self.settings.sign_on;
        // Some upstreams can be asked again only if the login asked for that.
        let asked = |r: &&Arc<dyn Refresh>| session.wants.offline || !r.needs_offline_login();
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
        if self.has_passed_the_brake(connector, &session)? {
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
    ) -> Result<Upstream, Failure> {
        let seen = session.identity_at;
        for _ in 0..LOOKS {
            let now = self.now();
            if self.store.lease_upstream(&session.id, now, now + LEASE).await? {
                let id = session.id.clone();
                let asked = self.ask(connector, refresh, session, true).await;
                if matches!(asked, Err(_) | Ok(Upstream::Refused(Refused::Changed))) {
                    self.store.release_upstream(&id).await?;
                }
                return asked;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
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
            None => Err(Failure::Unavailable {
                what: connector.name.clone(),
                cause: "another request is still asking this upstream".to_owned(),
            }),
        }
    }

    async fn ask(
        &self,
        connector: &Connector,
        refresh: &dyn Refresh,
        session: Session,
        leased: bool,
    ) -> Result<Upstream, Failure> {
        let upstream = self.open_upstream(session.upstream.as_deref())?;
        let known = Known {
            identity: &session.identity,
            upstream: upstream.as_ref(),
            wants: session.wants,
            now: self.now(),
        };
        let mut trace = Trace::default();
        let asking = refresh.refresh(known, &mut trace);
        let answer = self.ask_connector(connector, Op::Refresh, asking).await;
        for step in trace.steps() {
            tracing::debug!(connector = %session.connector, session = %session.id, kind = ?step.kind, "{}", step.text);
        }
        let said = match answer.map_err(|down| Failure::upstream(&down))? {
            Refreshed::Current(person) => {
                self.is_welcome(&session);
                return self.current(session, *person, leased);
            }
            Refreshed::Disabled => Said::Disabled,
            Refreshed::Missing { why } => Said::Missing { why },
        };
        self.is_refused(connector, &session, said, refresh.is_free()).await
    }

    fn current(
        &self,
        mut session: Session,
        person: SignedIn,
        leased: bool,
    ) -> Result<Upstream, Failure> {
        if person.basis.as_ref().is_some_and(|basis| *basis != session.basis) {
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
            basis: session.basis.clone(),
            upstream,
            now: session.identity_at,
        };
        Ok(welcome(session, Some(snapshot)))
    }

    /// The browser's half ends, and what was given without `offline_access`.
    pub async fn sign_out(&self, cookie: &Secret) -> Result<Option<SignedOut>, Failure> {
        let cookie = hash::sha256(cookie.expose());
        let Some(session) = self.store.session_by_cookie(&cookie).await? else { return Ok(None) };
        let by = format!("user:{}", session.identity.user_id);
        let out = self.store.sign_out(&cookie, &by, EndReason::SignedOut, self.now()).await?;
        tracing::info!(event = "signed_out", session = %session.id, user_id = %session.identity.user_id, "signed out");
        Ok(out)
    }

    /// The value a form of ours carries so that it cannot be posted from elsewhere: only who holds the
    /// session cookie can know it.
    pub fn form_token(&self, cookie: Option<&Secret>) -> String {
        let cookie = cookie.map_or("", Secret::expose);
        hash::sha256(&format!("form of {}\n{cookie}", self.settings.issuer.as_str()))
    }

    pub(crate) fn seal_upstream(&self, data: Option<&Secret>) -> Result<Option<String>, Failure> {
        data.map(|data| self.root.seal(UPSTREAM_DATA, data.expose().as_bytes()))
            .transpose()
            .map_err(Failure::from)
    }

    fn open_upstream(&self, sealed: Option<&str>) -> Result<Option<Secret>, Failure> {
        let Some(sealed) = sealed else { return Ok(None) };
        let bytes = self
            .root
            .open(UPSTREAM_DATA, sealed)
            .map_err(|e| Failure::Broken(format!("upstream data cannot be opened: {e}")))?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Failure::Broken("upstream data is not text".to_owned()))?;
        Ok(Some(Secret::new(text)))
    }
}

fn welcome(session: Session, snapshot: Option<Snapshot>) -> Upstream {
    Upstream::Welcome(Box::new(Checked { session, snapshot }))
}
