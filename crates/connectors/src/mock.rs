//! Two upstreams that are always there, for trying things out and for tests. Their person is Dex's.
//!
//! They prove nothing about anybody and must not stand in a configuration that guards something.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::connector::{
    Basis, Departure, Examination, Known, Login, Luggage, PasswordLogin, RedirectLogin, Refresh,
    Refreshed, Refusal, SignedIn, Trip, Unavailable, WayIn,
};
use countersign_core::settings::Section;
use countersign_core::{Connector, ConnectorId, Identity, Secret, Trace, Wants, ids};

const CODE: &str = "code";

pub(crate) fn callback(id: ConnectorId, name: String, config: Option<Section<'_>>) -> Connector {
    if let Some(section) = config {
        section.finish();
    }
    Connector {
        id,
        kind: "mockCallback",
        name,
        way: WayIn::Redirect(Arc::new(MockCallback)),
        refresh: Some(Arc::new(MockRefresh)),
        basis: Basis::Upstream("mockCallback".to_owned()),
    }
}

pub(crate) fn password(id: ConnectorId, name: String, config: Section<'_>) -> Option<Connector> {
    let username = config.required_text("username");
    let password = config.required_text("password").map(Secret::new);
    config.finish();
    let login = MockPassword { username: username?, password: password? };
    Some(Connector {
        id,
        kind: "mockPassword",
        name,
        way: WayIn::Password(Arc::new(login)),
        refresh: Some(Arc::new(MockRefresh)),
        basis: Basis::Upstream("mockPassword".to_owned()),
    })
}

/// The groups are given whether or not they are wanted, as Dex gives them.
fn kilgore() -> SignedIn {
    let identity = Identity {
        user_id: "0-385-28089-0".to_owned(),
        username: "Kilgore Trout".to_owned(),
        preferred_username: String::new(),
        email: "kilgore@kilgore.trout".to_owned(),
        email_verified: true,
        groups: vec!["authors".to_owned()],
    };
    SignedIn { identity, upstream: None, basis: None }
}

struct MockCallback;

#[async_trait]
impl RedirectLogin for MockCallback {
    async fn depart(&self, trip: &Trip) -> Result<Departure, Unavailable> {
        let random = ids::random_id().map_err(|e| Unavailable {
            upstream: "mockCallback".to_owned(),
            cause: e.to_string(),
        })?;
        let code = format!("mock-{random}");
        let mut url = trip.callback.clone();
        url.query_pairs_mut().append_pair("state", &trip.state).append_pair(CODE, &code);
        Ok(Departure { url, luggage: Luggage(vec![(CODE.to_owned(), code)]) })
    }

    async fn arrive(
        &self,
        _trip: &Trip,
        luggage: &Luggage,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<Login, Unavailable> {
        let brought = |key: &str| query.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        if let Some(error) = brought("error") {
            trace.answered(format!("error={error}"));
            return Ok(Login::Refused(Refusal::UpstreamDenied { code: error.to_owned() }));
        }
        let given = luggage.0.iter().find(|(k, _)| k == CODE).map(|(_, v)| v.as_str());
        if given.is_none() || brought(CODE) != given {
            trace.answered("a code that was not given for this login");
            let code = "invalid_grant".to_owned();
            return Ok(Login::Refused(Refusal::UpstreamDenied { code }));
        }
        trace.answered("the code given at departure");
        Ok(Login::Accepted(Box::new(kilgore())))
    }
}

struct MockPassword {
    username: String,
    password: Secret,
}

#[async_trait]
impl PasswordLogin for MockPassword {
    fn prompt(&self) -> &str {
        "Username"
    }

    fn canonical(&self, login: &str) -> String {
        login.trim().to_lowercase()
    }

    async fn examine(&self, login: &str, trace: &mut Trace) -> Result<Examination, Unavailable> {
        // As at a login, where case counts.
        if login != self.username {
            trace.answered("not the configured username");
            return Ok(Examination::Refused { why: format!("{login:?} is nobody here") });
        }
        trace.answered("the configured username; whatever it is, the person is Dex's");
        Ok(Examination::Found(Box::new(kilgore().identity)))
    }

    async fn login(
        &self,
        login: &str,
        password: &Secret,
        _wants: Wants,
        trace: &mut Trace,
    ) -> Result<Login, Unavailable> {
        // Both are compared always, so that time does not tell which of them was wrong.
        let known = Secret::new(login).matches(&self.username);
        if known & self.password.matches(password.expose()) {
            trace.answered("username and password are the configured ones");
            return Ok(Login::Accepted(Box::new(kilgore())));
        }
        trace.answered("username or password are not the configured ones");
        Ok(Login::Refused(Refusal::BadCredentials))
    }
}

struct MockRefresh;

#[async_trait]
impl Refresh for MockRefresh {
    async fn refresh(&self, _: Known<'_>, trace: &mut Trace) -> Result<Refreshed, Unavailable> {
        trace.answered("the same person as ever");
        Ok(Refreshed::Current(Box::new(kilgore())))
    }

    fn is_free(&self) -> bool {
        true
    }
}
