//! What every story says: a connector as an administrator would configure it, a login, a refresh.

use countersign_connectors::read;
use countersign_core::connector::{
    Departure, Known, Login, Refreshed, Refusal, SignedIn, Trip, Unavailable, WayIn,
};
use countersign_core::settings::Node;
use countersign_core::{Connector, ConnectorId, Timestamp, Trace, Wants};
use url::Url;

use crate::tree::{self, map};

/// What a test says about its connector.
pub type Keys = Vec<(&'static str, Node)>;

pub const CALLBACK: &str = "https://id.example.com/dex/callback";
pub const ALL: Wants = Wants { offline: true, groups: true };

/// The connector, if there is one, and every problem with its configuration.
pub fn configured(kind: &str, keys: Keys) -> (Option<Connector>, Vec<String>) {
    tree::read(map(keys), |section| {
        read(kind, ConnectorId::new("up"), "Up".to_owned(), Some(section))
    })
}

pub fn sound(kind: &str, keys: Keys) -> Connector {
    let (connector, problems) = configured(kind, keys);
    connector.unwrap_or_else(|| panic!("{problems:#?}"))
}

/// The keys given replace or add.
pub fn replaced(mut keys: Keys, with: Keys) -> Keys {
    for (name, node) in with {
        keys.retain(|(other, _)| *other != name);
        keys.push((name, node));
    }
    keys
}

/// The fakes sign with the time there is.
pub fn now() -> Timestamp {
    Timestamp::from_secs(crate::provider::now().cast_signed())
}

pub fn trip(wants: Wants) -> Trip {
    let callback = Url::parse(CALLBACK).unwrap();
    Trip { callback, state: "the-state".to_owned(), wants, again: false, now: now() }
}

pub async fn depart(connector: &Connector, wants: Wants) -> Result<Departure, Unavailable> {
    let WayIn::Redirect(way) = &connector.way else { panic!("it is a redirect") };
    way.depart(&trip(wants)).await
}

/// Back with this, and the trace of it.
pub async fn arrive(
    connector: &Connector,
    departure: &Departure,
    query: &[(String, String)],
    wants: Wants,
) -> (Result<Login, Unavailable>, Trace) {
    let WayIn::Redirect(way) = &connector.way else { panic!("it is a redirect") };
    let mut trace = Trace::default();
    let login = way.arrive(&trip(wants), &departure.luggage, query, &mut trace).await;
    (login, trace)
}

pub async fn refresh(
    connector: &Connector,
    person: &SignedIn,
    wants: Wants,
) -> Result<Refreshed, Unavailable> {
    let upstream = person.upstream.as_ref();
    let known = Known { identity: &person.identity, upstream, wants, now: now() };
    connector.refresh.as_ref().unwrap().refresh(known, &mut Trace::default()).await
}

pub fn accepted(login: Result<Login, Unavailable>) -> SignedIn {
    match login {
        Ok(Login::Accepted(person)) => *person,
        other => panic!("{other:?}"),
    }
}

pub fn refused(login: Result<Login, Unavailable>) -> Refusal {
    match login {
        Ok(Login::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

/// The cause an administrator would read.
pub fn broken<T: std::fmt::Debug>(answer: Result<T, Unavailable>) -> String {
    let down = answer.unwrap_err();
    assert_eq!(down.upstream, "up");
    down.cause
}

pub fn current(refreshed: Result<Refreshed, Unavailable>) -> SignedIn {
    match refreshed {
        Ok(Refreshed::Current(person)) => *person,
        other => panic!("{other:?}"),
    }
}

pub fn missing(refreshed: Result<Refreshed, Unavailable>) -> String {
    match refreshed {
        Ok(Refreshed::Missing { why }) => why,
        other => panic!("{other:?}"),
    }
}

pub fn told(trace: &Trace) -> String {
    trace.steps().iter().map(|step| format!("{:?} {}\n", step.kind, step.text)).collect()
}
