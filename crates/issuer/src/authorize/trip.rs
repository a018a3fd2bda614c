//! The trip to an upstream and back: what the browser takes along opens only in it, and only once.

use countersign_core::connector::{Basis, Departure, Login, Luggage, Presented, Trip, WayIn};
use countersign_core::{Connector, ConnectorId, Secret, Trace, Wants, ids};
use serde::{Deserialize, Serialize};
use url::Url;

use super::sign_in::{Browser, Proven, SignInEnd};
use super::{Binder, Envelope};
use crate::upstream_health::Op;
use crate::{Failure, Issuer};

const TRIP: &str = "upstream trip";
/// What a browser can be asked to keep in cookies for one trip.
const LONGEST_TRIP_BYTES: usize = 11_000;

/// A trip to an upstream about to begin.
pub struct Travel {
    pub url: Url,
    /// Names the cookie that keeps `sealed`.
    pub state: String,
    pub sealed: String,
}

/// What a browser brought to our callback.
pub struct Brought<'a> {
    /// Decoded; `state` is among it.
    pub query: &'a [(String, String)],
    /// The connector in the path; `None` at the bare `/callback`.
    pub by: Option<&'a str>,
    pub presented: &'a Presented,
}

impl Brought<'_> {
    fn has(&self, parameter: &str) -> bool {
        self.query.iter().any(|(name, _)| name == parameter)
    }
}

/// The end of a trip. `connector` is the one it went to, and `envelope` the login in flight as it was at
/// departure, if that could be read.
pub struct Arrival {
    pub connector: Option<ConnectorId>,
    pub envelope: Option<Envelope>,
    pub end: Result<SignInEnd, Failure>,
}

#[derive(Serialize, Deserialize)]
struct Suitcase {
    envelope: Envelope,
    connector: ConnectorId,
    /// What stood behind that id at departure: a code of one house is not shown to another.
    basis: Option<String>,
    luggage: Luggage,
    wants: Wants,
}

impl Issuer {
    /// Begins a trip. `None`: there is no such way in.
    pub async fn depart(
        &self,
        envelope: &Envelope,
        connector: &ConnectorId,
        binder: &Binder,
        cookie: Option<&Secret>,
    ) -> Result<Option<Travel>, Failure> {
        let Some(connector) = self.connector_for(envelope, connector) else { return Ok(None) };
        // What this browser's session already asked there is asked again, so that a login for one
        // application takes nothing from what was given to another.
        let session = self.held_session(cookie).await?;
        let session = session.filter(|session| session.connector == connector.id);
        let before = session.map(|session| session.wants).unwrap_or_default();
        let wants = envelope.request.wants().and(before);
        let again = envelope.request.prompt.login || envelope.request.max_age.is_some();
        let trip = Trip { again, ..self.trip(ids::random_id()?, wants)? };
        let departure = match &connector.way {
            WayIn::Redirect(way) => {
                let asked = self.ask_connector(connector, Op::Depart, way.depart(&trip)).await;
                asked.map_err(|down| Failure::upstream(&down))?
            }
            WayIn::TrustedHeader(_) => self.to_the_proxy(connector, &trip)?,
            WayIn::Password(_) => return Ok(None),
        };
        let suitcase = Suitcase {
            envelope: envelope.clone(),
            connector: connector.id.clone(),
            basis: basis(connector),
            luggage: departure.luggage,
            wants,
        };
        let plain = serde_json::to_vec(&suitcase).map_err(|e| Failure::Broken(e.to_string()))?;
        let bound_to = trip_binding(binder, &trip.state);
        let sealed = self.keyring.keys().sealing_settled.seal(TRIP, bound_to.as_bytes(), &plain)?;
        if sealed.len() > LONGEST_TRIP_BYTES {
            let what = "this request is too long to be taken along to an upstream";
            return Err(Failure::Unstorable(what.to_owned()));
        }
        Ok(Some(Travel { url: departure.url, state: trip.state, sealed }))
    }

    /// The browser is back at `/callback`, or at `/callback/{by}`. What it kept opens only in the browser
    /// that left.
    pub async fn arrive(
        &self,
        binder: &Binder,
        sealed: &str,
        brought: &Brought<'_>,
        browser: &Browser,
    ) -> Arrival {
        let Brought { query, by, .. } = *brought;
        let state = query.iter().find(|(name, _)| name == "state").map_or("", |(_, value)| value);
        let suitcase = self.unpack(binder, sealed, state);
        let suitcase = suitcase.filter(|s| by.is_none_or(|by| by == s.connector.as_str()));
        let Some(suitcase) = suitcase else {
            return Arrival { connector: None, envelope: None, end: Ok(SignInEnd::StartAgain) };
        };
        let connector = Some(suitcase.connector.clone());
        let envelope = Some(suitcase.envelope.clone());
        Arrival { connector, envelope, end: self.land(suitcase, state, brought, browser).await }
    }

    async fn land(
        &self,
        suitcase: Suitcase,
        state: &str,
        brought: &Brought<'_>,
        browser: &Browser,
    ) -> Result<SignInEnd, Failure> {
        let Suitcase { envelope, connector, basis: left_for, luggage, wants } = suitcase;
        if self.now() > envelope.request.expires_at {
            return Ok(SignInEnd::StartAgain);
        }
        let Some(connector) = self.connector_for(&envelope, &connector) else {
            return Ok(SignInEnd::NoSuchWay);
        };
        if left_for != basis(connector) {
            return Ok(SignInEnd::StartAgain);
        }
        let mut trace = Trace::default();
        let login = match &connector.way {
            WayIn::Redirect(way) => {
                let trip = self.trip(state.to_owned(), wants)?;
                let asking = way.arrive(&trip, &luggage, brought.query, &mut trace);
                let answer = match brought.has("code") && !brought.has("error") {
                    true => self.ask_connector(connector, Op::Arrive, asking).await,
                    false => self.hear_browser(connector, asking).await,
                };
                answer.map_err(|down| self.unavailable(connector, &down, &trace))?
            }
            // The proxy guards its own path and no other.
            WayIn::TrustedHeader(way) if brought.by.is_some() => {
                way.login(brought.presented, &mut trace)
            }
            WayIn::TrustedHeader(_) | WayIn::Password(_) => return Ok(SignInEnd::NoSuchWay),
        };
        match login {
            Login::Refused(refusal) => {
                self.log_refusal(connector, &refusal, browser, &trace);
                Ok(SignInEnd::Refused(refusal))
            }
            Login::Accepted(person) => {
                let proven = Proven { person: *person, wants, trace };
                self.sign_in(envelope, connector, proven, browser).await
            }
        }
    }

    /// To our own callback, in front of which the proxy stands.
    fn to_the_proxy(&self, connector: &Connector, trip: &Trip) -> Result<Departure, Failure> {
        let path = format!("/callback/{}", connector.id);
        let mut url = Url::parse(&self.settings.issuer.endpoint(&path))
            .map_err(|e| Failure::Broken(e.to_string()))?;
        url.query_pairs_mut().append_pair("state", &trip.state);
        Ok(Departure { url, luggage: Luggage::default() })
    }

    fn unpack(&self, binder: &Binder, sealed: &str, state: &str) -> Option<Suitcase> {
        let keys = self.keyring.keys();
        // Another tab may have signed in meanwhile and renewed the binder.
        let opened = binder.each().find_map(|binder| {
            keys.sealing.open(TRIP, format!("{binder}\n{state}").as_bytes(), sealed)
        })?;
        serde_json::from_slice(&opened).ok()
    }

    fn trip(&self, state: String, wants: Wants) -> Result<Trip, Failure> {
        let callback = Url::parse(&self.settings.issuer.endpoint("/callback"))
            .map_err(|e| Failure::Broken(e.to_string()))?;
        Ok(Trip { callback, state, wants, again: false, now: self.now() })
    }
}

/// A trip belongs to one browser and one `state`: no cookie can be renamed for another trip.
fn trip_binding(binder: &Binder, state: &str) -> String {
    format!("{}\n{state}", binder.current())
}

fn basis(connector: &Connector) -> Option<String> {
    match &connector.basis {
        Basis::Upstream(basis) => Some(basis.clone()),
        Basis::Person => None,
    }
}
