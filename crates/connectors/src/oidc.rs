//! Any provider of OpenID Connect, as Dex's connector of this name: a trip, an ID token, and the person in it.
//!
//! The provider is asked for nothing before somebody logs in, so one that is down breaks only its own button and
//! heals without a restart. Never links a person to another account by e-mail address.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_core::connector::{
    Basis, Departure, Known, Login, Luggage, RedirectLogin, Refresh, Refreshed, Refusal, SignedIn,
    Trip, Unavailable, WayIn,
};
use countersign_core::settings::Section;
use countersign_core::{Connector, ConnectorId, Identity, Secret, Trace};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::oauth::{Failure, within};

mod config;
mod groups;
pub(crate) mod id_token;
pub(crate) mod metadata;
mod person;
pub(crate) mod provider;

use config::Config;
use person::Person;
use provider::{Outcome, Proven, Provider};

/// `None`, with every problem noted, when the section cannot be used.
pub(crate) fn read(id: ConnectorId, name: String, section: Section<'_>) -> Option<Connector> {
    let Config { provider, http, scopes, acr_values, get_user_info, prompt, mapping } =
        config::read(section)?;
    let basis = format!("oidc:{}", provider.issuer);
    let oidc = Arc::new(Oidc {
        id: id.clone(),
        provider: Provider::new(provider, http),
        scopes,
        acr_values,
        get_user_info,
        prompt,
        mapping,
    });
    Some(Connector {
        id,
        kind: "oidc",
        name,
        way: WayIn::Redirect(oidc.clone()),
        refresh: Some(oidc),
        basis: Basis::Upstream(basis),
    })
}

struct Oidc {
    id: ConnectorId,
    provider: Provider,
    scopes: Vec<String>,
    acr_values: Vec<String>,
    get_user_info: bool,
    prompt: Option<String>,
    mapping: config::Mapping,
}

#[async_trait]
impl RedirectLogin for Oidc {
    async fn depart(&self, trip: &Trip) -> Result<Departure, Unavailable> {
        let mut trace = Trace::default();
        self.leave(trip, &mut trace).await.map_err(|failure| failure.told(&self.id, &mut trace))
    }

    async fn arrive(
        &self,
        trip: &Trip,
        luggage: &Luggage,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<Login, Unavailable> {
        let login = async {
            match self.provider.arrive(trip, luggage, query, trace).await? {
                Outcome::Denied(code) => {
                    Ok(Login::Refused(Refusal::UpstreamDenied { code: code.to_owned() }))
                }
                Outcome::Proven(proven) => Ok(match self.person(*proven, None, trace).await? {
                    (Person::Welcome(identity), upstream) => accepted(identity, upstream),
                    (Person::NotIn(required), _) => {
                        Login::Refused(Refusal::NotInRequiredGroup { required })
                    }
                }),
            }
        };
        let login: Result<Login, Failure> = Box::pin(within(login)).await;
        login.map_err(|failure| failure.told(&self.id, trace))
    }
}

#[async_trait]
impl Refresh for Oidc {
    async fn refresh(&self, known: Known<'_>, trace: &mut Trace) -> Result<Refreshed, Unavailable> {
        let again = Box::pin(within(self.ask_again(&known, trace))).await;
        again.map_err(|failure| failure.told(&self.id, trace))
    }

    fn needs_offline_login(&self) -> bool {
        true
    }
}

fn accepted(identity: Identity, upstream: Option<Secret>) -> Login {
    Login::Accepted(Box::new(SignedIn { identity, upstream, basis: None }))
}

impl Oidc {
    async fn leave(&self, trip: &Trip, trace: &mut Trace) -> Result<Departure, Failure> {
        let mut scopes = self.scopes.clone();
        let mut more = Vec::new();
        if !self.acr_values.is_empty() {
            more.push(("acr_values", self.acr_values.join(" ")));
        }
        if trip.wants.offline {
            let metadata = self.provider.metadata(trace).await?;
            let offline = "offline_access".to_owned();
            if metadata.scopes.contains(&offline) && !scopes.contains(&offline) {
                scopes.push(offline);
            }
            more.push(("access_type", "offline".to_owned()));
            more.extend(self.prompt.clone().map(|prompt| ("prompt", prompt)));
        }
        self.provider.depart(trip, &scopes, more, trace).await
    }

    /// The person, and what to keep for asking again.
    async fn person(
        &self,
        proven: Proven,
        before: Option<&Identity>,
        trace: &mut Trace,
    ) -> Result<(Person, Option<Secret>), Failure> {
        let mut claims = proven.claims;
        if self.get_user_info {
            let sub = claims.get("sub").and_then(Value::as_str);
            let more = self.provider.userinfo(&proven.tokens.access, sub, trace).await?;
            merge(&mut claims, more);
        } else if !proven.has_id_token {
            let what = "an ID token, and getUserInfo is not set";
            return Err(Failure::Lacks { endpoint: "token endpoint", what });
        }
        let person = person::of(&claims, &self.mapping, before, trace)?;
        if proven.tokens.refresh.is_none() {
            trace.noted("the upstream gave no refresh token: it cannot be asked again");
        }
        Ok((person, proven.tokens.refresh.as_ref().and_then(keep)))
    }

    async fn ask_again(&self, known: &Known<'_>, trace: &mut Trace) -> Result<Refreshed, Failure> {
        let Some(token) = known.upstream.and_then(kept) else {
            let why = "the upstream gave no refresh token at sign-in".to_owned();
            return Ok(Refreshed::Missing { why });
        };
        let proven = match self.provider.refresh(&token, trace).await? {
            // A provider that lost its tokens says the same of everybody, so this alone ends nothing.
            Outcome::Denied(code) => {
                let why = format!("the upstream refuses its refresh token ({code})");
                return Ok(Refreshed::Missing { why });
            }
            Outcome::Proven(proven) => *proven,
        };
        Ok(match self.person(proven, Some(known.identity), trace).await? {
            (Person::Welcome(identity), upstream) => {
                Refreshed::Current(Box::new(SignedIn { identity, upstream, basis: None }))
            }
            (Person::NotIn(required), _) => Refreshed::Missing {
                why: format!("in none of the required groups {}", required.join(", ")),
            },
        })
    }
}

/// What userinfo says goes before the ID token, except who it is about and from whom.
fn merge(claims: &mut Map<String, Value>, more: Map<String, Value>) {
    for (name, value) in more {
        if !claims.contains_key(&name)
            || !["iss", "sub", "aud", "exp", "iat"].contains(&name.as_str())
        {
            claims.insert(name, value);
        }
    }
}

/// Dex's form, so that its sessions can be taken over: bytes in base64.
#[derive(Serialize, Deserialize)]
struct Remembered {
    #[serde(rename = "RefreshToken")]
    refresh_token: Option<String>,
}

fn keep(token: &Secret) -> Option<Secret> {
    let refresh_token = Some(STANDARD.encode(token.expose()));
    serde_json::to_string(&Remembered { refresh_token }).ok().map(Secret::new)
}

fn kept(upstream: &Secret) -> Option<Secret> {
    let remembered: Remembered = serde_json::from_str(upstream.expose()).ok()?;
    let token = STANDARD.decode(remembered.refresh_token?).ok()?;
    String::from_utf8(token).ok().filter(|token| !token.is_empty()).map(Secret::new)
}
