//! What every connector of the family does alike: keeping a login or refresh within its bounds, and saying in
//! the words of the port what came of it. A connector says only where to go and who somebody is.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::connector::{
    Basis, Departure, Known, Login, Luggage, RedirectLogin, Refresh, Refreshed, Refusal, SignedIn,
    Trip, Unavailable, WayIn,
};
use countersign_core::{Connector, ConnectorId, Timestamp, Trace};
use url::Url;

use super::{Failure, within};

/// What an upstream says of somebody, at a login and at a refresh.
pub(crate) enum Verdict {
    Welcome(Box<SignedIn>),
    /// An administrator took the account away.
    Disabled,
    /// In none of these: groups, domains or organisations.
    NotIn(Vec<String>),
    /// The upstream does not vouch for the address, and the connector demands it.
    EmailNotVerified,
    /// The upstream said no, in a word of its protocol.
    Denied(&'static str),
}

/// What one upstream is to the family. `trace` tells what was asked and answered.
#[async_trait]
pub(crate) trait Upstream: Send + Sync {
    async fn leave(&self, trip: &Trip, trace: &mut Trace) -> Result<Departure, Failure>;

    /// `query` as in [`RedirectLogin::arrive`].
    async fn enter(
        &self,
        trip: &Trip,
        luggage: &Luggage,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<Verdict, Failure>;

    async fn ask_again(&self, known: &Known<'_>, trace: &mut Trace) -> Result<Refreshed, Failure>;

    /// See [`Refresh::needs_offline_login`].
    fn needs_offline_login(&self) -> bool {
        false
    }

    /// See [`RedirectLogin::examine`].
    async fn examine(
        &self,
        user: Option<&str>,
        now: Timestamp,
        trace: &mut Trace,
    ) -> Result<Option<Vec<String>>, Failure>;

    /// See [`RedirectLogin::sign_out_url`].
    async fn sign_out_url(&self, _trace: &mut Trace) -> Result<Option<Url>, Failure> {
        Ok(None)
    }
}

/// An [`Upstream`] behind the port.
pub(crate) struct OAuth<U> {
    id: ConnectorId,
    upstream: U,
}

impl<U: Upstream + 'static> OAuth<U> {
    pub fn connector(
        kind: &'static str,
        id: ConnectorId,
        name: String,
        basis: String,
        upstream: U,
    ) -> Connector {
        let behind = Arc::new(Self { id: id.clone(), upstream });
        Connector {
            id,
            kind,
            name,
            way: WayIn::Redirect(behind.clone()),
            refresh: Some(behind),
            basis: Basis::Upstream(basis),
        }
    }
}

#[async_trait]
impl<U: Upstream> RedirectLogin for OAuth<U> {
    async fn depart(&self, trip: &Trip) -> Result<Departure, Unavailable> {
        let mut trace = Trace::default();
        let departure = within(self.upstream.leave(trip, &mut trace)).await;
        departure.map_err(|failure| failure.told(&self.id, &mut trace))
    }

    async fn arrive(
        &self,
        trip: &Trip,
        luggage: &Luggage,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<Login, Unavailable> {
        let verdict = within(self.upstream.enter(trip, luggage, query, trace)).await;
        verdict.map(Verdict::login).map_err(|failure| failure.told(&self.id, trace))
    }

    async fn examine(
        &self,
        user: Option<&str>,
        now: Timestamp,
        trace: &mut Trace,
    ) -> Result<Option<Vec<String>>, Unavailable> {
        let groups = within(self.upstream.examine(user, now, trace)).await;
        groups.map_err(|failure| failure.told(&self.id, trace))
    }

    async fn sign_out_url(&self) -> Option<Url> {
        let mut trace = Trace::default();
        within(self.upstream.sign_out_url(&mut trace)).await.ok().flatten()
    }
}

#[async_trait]
impl<U: Upstream> Refresh for OAuth<U> {
    async fn refresh(&self, known: Known<'_>, trace: &mut Trace) -> Result<Refreshed, Unavailable> {
        let again = within(self.upstream.ask_again(&known, trace)).await;
        again.map_err(|failure| failure.told(&self.id, trace))
    }

    fn needs_offline_login(&self) -> bool {
        self.upstream.needs_offline_login()
    }
}

impl Verdict {
    fn login(self) -> Login {
        Login::Refused(match self {
            Self::Welcome(person) => return Login::Accepted(person),
            Self::Disabled => Refusal::AccountDisabled,
            Self::NotIn(required) => Refusal::NotInRequiredGroup { required },
            Self::EmailNotVerified => Refusal::EmailNotVerified,
            Self::Denied(code) => Refusal::UpstreamDenied { code: code.to_owned() },
        })
    }

    pub fn refreshed(self) -> Refreshed {
        let why = match self {
            Self::Welcome(person) => return Refreshed::Current(person),
            Self::Disabled => return Refreshed::Disabled,
            Self::NotIn(required) => format!("in none of {}", required.join(", ")),
            Self::EmailNotVerified => "the e-mail address is no longer verified".to_owned(),
            Self::Denied(code) => return refused_token(code),
        };
        Refreshed::Missing { why }
    }
}

/// An upstream that lost its tokens says the same of everybody, so this alone ends nothing.
pub(crate) fn refused_token(code: &str) -> Refreshed {
    Refreshed::Missing { why: format!("the upstream refuses its token ({code})") }
}
