//! The trip to an upstream and back: what the browser takes along opens only in it, and only once.

use countersign_core::connector::{Login, Luggage, Trip, WayIn};
use countersign_core::{ConnectorId, Secret, Trace, Wants, ids};
use serde::{Deserialize, Serialize};
use url::Url;

use super::sign_in::{Browser, SignInEnd};
use super::{Binder, Envelope};
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

/// The end of a trip. `connector` is the one it went to, if that could be read.
pub struct Arrival {
    pub connector: Option<ConnectorId>,
    pub end: Result<SignInEnd, Failure>,
}

#[derive(Serialize, Deserialize)]
struct Suitcase {
    envelope: Envelope,
    connector: ConnectorId,
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
        let WayIn::Redirect(way) = &connector.way else { return Ok(None) };
        // What this browser's session already asked there is asked again, so that a login for one
        // application takes nothing from what was given to another.
        let session = self.browser_session(cookie).await?;
        let session = session.filter(|session| session.connector == connector.id);
        let before = session.map(|session| session.wants).unwrap_or_default();
        let wants = envelope.request.wants().and(before);
        let trip = self.trip(ids::random_id()?, wants)?;
        let departure = way.depart(&trip).await.map_err(|e| Failure::upstream(&e))?;
        let suitcase = Suitcase {
            envelope: envelope.clone(),
            connector: connector.id.clone(),
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
        query: &[(String, String)],
        by: Option<&str>,
        browser: &Browser,
    ) -> Arrival {
        let state = query.iter().find(|(name, _)| name == "state").map_or("", |(_, value)| value);
        let suitcase = self.unpack(binder, sealed, state);
        let suitcase = suitcase.filter(|s| by.is_none_or(|by| by == s.connector.as_str()));
        let Some(suitcase) = suitcase else {
            return Arrival { connector: None, end: Ok(SignInEnd::StartAgain) };
        };
        let connector = Some(suitcase.connector.clone());
        Arrival { connector, end: self.land(suitcase, state, query, browser).await }
    }

    async fn land(
        &self,
        suitcase: Suitcase,
        state: &str,
        query: &[(String, String)],
        browser: &Browser,
    ) -> Result<SignInEnd, Failure> {
        let Suitcase { envelope, connector, luggage, wants } = suitcase;
        if self.now() > envelope.request.expires_at {
            return Ok(SignInEnd::StartAgain);
        }
        let Some(connector) = self.connector_for(&envelope, &connector) else {
            return Ok(SignInEnd::NoSuchWay);
        };
        let WayIn::Redirect(way) = &connector.way else { return Ok(SignInEnd::NoSuchWay) };
        let trip = self.trip(state.to_owned(), wants)?;
        let mut trace = Trace::default();
        let answer = way.arrive(&trip, &luggage, query, &mut trace).await;
        match answer.map_err(|down| self.unavailable(connector, &down, &trace))? {
            Login::Refused(refusal) => {
                self.log_refusal(connector, &refusal, browser, &trace);
                Ok(SignInEnd::Refused(refusal))
            }
            Login::Accepted(person) => {
                self.sign_in(envelope, connector, *person, wants, browser).await
            }
        }
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
        Ok(Trip { callback, state, wants })
    }
}

/// A trip belongs to one browser and one `state`: no cookie can be renamed for another trip.
fn trip_binding(binder: &Binder, state: &str) -> String {
    format!("{}\n{state}", binder.current())
}
