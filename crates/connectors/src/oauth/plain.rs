//! An upstream with OAuth and an API of its own, without an ID token: the trip, and tokens to ask that API with.

use countersign_core::connector::{Departure, Luggage, Trip};
use countersign_core::{Secret, Trace};
use url::Url;

use super::{
    Arrived, Client, Code, Failure, Granted, Http, Leaving, Packed, Registration, Spent, Tokens,
    arrived, ours,
};

pub(crate) struct Plain {
    pub http: Http,
    pub registration: Registration,
    pub authorize: Url,
    pub token: Url,
    pub spent: Spent,
}

pub(crate) enum Entry {
    Tokens(Tokens),
    /// Said no, in a word of the protocol.
    Denied(&'static str),
}

impl Plain {
    /// Always with PKCE: without a nonce it is what ties the code to this login.
    pub fn depart(
        &self,
        trip: &Trip,
        scopes: &[String],
        more: Vec<(&'static str, String)>,
    ) -> Result<Departure, Failure> {
        ours(&self.registration, trip)?;
        let leaving = Leaving {
            authorize: &self.authorize,
            client_id: &self.registration.client_id,
            scopes,
            with_nonce: false,
            with_pkce: true,
            more,
        };
        leaving.departure(trip)
    }

    pub async fn arrive(
        &self,
        trip: &Trip,
        luggage: &Luggage,
        query: &[(String, String)],
        client: &Client,
        trace: &mut Trace,
    ) -> Result<Entry, Failure> {
        ours(&self.registration, trip)?;
        let code = match arrived(query, trace)? {
            Arrived::Denied(code) => return Ok(Entry::Denied(code)),
            Arrived::Code(code) => code,
        };
        let verifier = Packed(luggage).verifier();
        if verifier.is_none() {
            return Err(Failure::Here("the login began without PKCE".to_owned()));
        }
        let code = Code { code: &code, redirect_uri: trip.callback.as_str(), verifier };
        Ok(client.exchange(&self.http, &self.token, &code, trace).await?.into())
    }

    /// Asks what can be asked without a person.
    pub async fn examine(&self, client: &Client, trace: &mut Trace) -> Result<(), Failure> {
        trace.noted(format!("people sign in at {}", self.authorize));
        client.probe(&self.http, &self.token, &self.registration, trace).await
    }

    pub async fn refresh(
        &self,
        token: &Secret,
        client: &Client,
        trace: &mut Trace,
    ) -> Result<Entry, Failure> {
        let granted = client.refresh(&self.http, &self.token, token, &self.spent, trace).await?;
        Ok(granted.into())
    }
}

impl From<Granted> for Entry {
    fn from(granted: Granted) -> Self {
        match granted {
            Granted::Tokens(tokens) => Self::Tokens(tokens),
            Granted::Refused(code) => Self::Denied(code),
        }
    }
}
