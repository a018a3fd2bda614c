//! Concurrent requests of one session: at an upstream whose refresh tokens are valid for one use, and a login during a
//! revalidation.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use countersign_core::connector::{AccountDiagnosis, LoginOutcome};
use countersign_core::connector::{
    ConnectorError, Fingerprint, LoginMethod, PasswordLogin, Refresh, RefreshOutcome,
    RefreshRequest, SignedIn,
};
use countersign_core::stored::{ConnectorFactory, StoredConnector};
use countersign_core::{
    Clock, Connector, ConnectorId, Identity, LoginScopes, Secret, SessionId, Timestamp, Trace,
};
use countersign_jose::RootKeys;
use countersign_store::{Location, SignIn, SignInOutcome, Store};

use super::Revalidation;
use crate::circuit_breakers::CircuitBreakers;
use crate::{Clients, Connectors, Issuer, Keyring, StoredObjects, settings};

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

/// The test stores no connectors.
struct NoConnectors;

impl ConnectorFactory for NoConnectors {
    fn build(&self, _stored: &StoredConnector) -> Result<Connector, String> {
        Err("not used".to_owned())
    }
}

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        NOW
    }
}

/// Returns `token-1` for `token-0` and so on; each token is accepted once.
#[derive(Default)]
struct Rotating(AtomicUsize);

#[async_trait]
impl Refresh for Rotating {
    async fn refresh(
        &self,
        known: RefreshRequest<'_>,
        _: &mut Trace,
    ) -> Result<RefreshOutcome, ConnectorError> {
        let uses = self.0.fetch_add(1, Ordering::SeqCst);
        let shown = known.upstream.map_or("", Secret::expose);
        assert_eq!(shown, format!("token-{uses}"), "a spent token was shown again");
        let upstream = Some(Secret::new(format!("token-{}", uses + 1)));
        let identity = known.identity.clone();
        Ok(RefreshOutcome::Current(Box::new(SignedIn { identity, upstream, fingerprint: None })))
    }
}

#[async_trait]
impl PasswordLogin for Rotating {
    fn prompt(&self) -> &'static str {
        "Name"
    }

    fn canonical(&self, login: &str) -> String {
        login.to_owned()
    }

    async fn diagnose(&self, _: &str, _: &mut Trace) -> Result<AccountDiagnosis, ConnectorError> {
        Ok(AccountDiagnosis::Refused { reason: "not used in this test".to_owned() })
    }

    async fn login(
        &self,
        _: &str,
        _: &Secret,
        _: LoginScopes,
        _: &mut Trace,
    ) -> Result<LoginOutcome, ConnectorError> {
        Err(ConnectorError::Unavailable {
            upstream: "rotating".to_owned(),
            cause: "not used in this test".to_owned(),
        })
    }
}

async fn issuer(upstream: Arc<dyn Refresh>) -> Issuer {
    let store = Store::open(&Location::Memory).await.unwrap();
    let (root, settings) = (RootKeys::none(), settings::tests::example());
    let keyring = Keyring::open(&store, &root, &settings, NOW).await.unwrap();
    let connector = Connector {
        id: ConnectorId::new("rotating"),
        kind: "oidc",
        name: "Rotating".to_owned(),
        login_method: LoginMethod::Password(Arc::new(Rotating::default())),
        refresh: Some(upstream),
        fingerprint: Fingerprint::Upstream("oidc:rotating".to_owned()),
    };
    Issuer {
        circuit_breakers: Arc::new(CircuitBreakers::open(&store).await.unwrap()),
        upstream_health: Arc::default(),
        clients: Clients::default(),
        connectors: Connectors::new([connector]),
        keyring,
        stored: StoredObjects::new(None, Arc::new(NoConnectors)),
        attempts: Arc::default(),
        settings,
        store,
        root,
        clock: Arc::new(Stopped),
    }
}

/// A login an hour ago.
fn sign_in(issuer: &Issuer) -> SignIn {
    SignIn {
        previous_cookie: None,
        cookie: "cookie".to_owned(),
        cookie_until: NOW,
        id: SessionId::new("session"),
        connector: ConnectorId::new("rotating"),
        identity: Identity { user_id: "jane".to_owned(), ..Identity::default() },
        fingerprint: "oidc:rotating".to_owned(),
        login_scopes: LoginScopes { offline: true, groups: true },
        upstream: issuer.seal_upstream(Some(&Secret::new("token-0"))).unwrap(),
        ip: "192.0.2.1".to_owned(),
        user_agent: String::new(),
        trace: None,
        assertion: None,
        now: Timestamp::from_secs(NOW.secs() - 3600),
    }
}

#[tokio::test]
async fn who_waited_for_the_lease_does_not_spend_the_others_token_again() {
    let upstream = Arc::new(Rotating::default());
    let issuer = issuer(upstream.clone()).await;
    let sign_in = sign_in(&issuer);
    let session = issuer.store.sign_in(sign_in).await.unwrap();
    let SignInOutcome::SignedIn { session, .. } = session else { panic!("blocked") };
    // Two requests read the session; the second acquires the lease only after the first has stored its result.
    let read = issuer.store.session(&session).await.unwrap().unwrap();
    let Revalidation::Valid(first) = issuer.revalidate(read.clone()).await.unwrap() else {
        panic!("the session is valid")
    };
    assert!(issuer.store.update_snapshot(first.snapshot.unwrap()).await.unwrap());

    let Revalidation::Valid(second) = issuer.revalidate(read).await.unwrap() else {
        panic!("the session is valid")
    };
    assert!(second.snapshot.is_none(), "what the first one learnt is fresh enough");
    assert_eq!(upstream.0.load(Ordering::SeqCst), 1);
    let later = Timestamp::from_secs(NOW.secs() + 60);
    let free = issuer.store.lease_upstream(&session, NOW, later).await.unwrap();
    assert!(free, "the lease was given back");
}

/// Refuses the user, who signs in again before the response.
#[derive(Default)]
struct Overtaken(OnceLock<(Store, SignIn)>);

#[async_trait]
impl Refresh for Overtaken {
    async fn refresh(
        &self,
        _: RefreshRequest<'_>,
        _: &mut Trace,
    ) -> Result<RefreshOutcome, ConnectorError> {
        let (store, sign_in) = self.0.get().unwrap();
        store.sign_in(sign_in.clone()).await.unwrap();
        Ok(RefreshOutcome::Disabled)
    }
}

#[tokio::test]
async fn a_refusal_of_the_login_before_does_not_end_the_session_of_a_new_login() {
    let upstream = Arc::new(Overtaken::default());
    let issuer = issuer(upstream.clone()).await;
    let first = sign_in(&issuer);
    let again = SignIn { previous_cookie: Some(first.cookie.clone()), now: NOW, ..first.clone() };
    assert!(upstream.0.set((issuer.store.clone(), again)).is_ok());
    let session = first.id.clone();
    issuer.store.sign_in(first).await.unwrap();
    let read = issuer.store.session(&session).await.unwrap().unwrap();

    let Revalidation::Valid(checked) = issuer.revalidate(read).await.unwrap() else {
        panic!("she has just signed in")
    };
    assert_eq!(checked.session.auth_time, NOW);
    let stored = issuer.store.session(&session).await.unwrap().unwrap();
    assert!(stored.ended.is_none() && stored.missing_since.is_none());
}
