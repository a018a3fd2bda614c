//! Google accounts, with the groups of Google Workspace or Cloud Identity.
//!
//! Of which company somebody is says the claim `hd` of the ID token, never what was asked for and never the
//! e-mail address alone. Groups are asked for only under an address Google itself vouches for.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::connector::{
    Basis, Departure, Known, Login, Luggage, RedirectLogin, Refresh, Refreshed, Refusal, SignedIn,
    Trip, Unavailable, WayIn,
};
use countersign_core::settings::Section;
use countersign_core::{Connector, ConnectorId, Identity, Trace, Wants};
use serde_json::{Map, Value};

use crate::oauth::{Failure, within};
use crate::oidc::provider::{Outcome, Proven, Provider};

mod config;
mod credentials;
mod groups;
mod tokens;

use config::Config;
use groups::Groups;

/// `None`, with every problem noted, when the section cannot be used.
pub(crate) fn read(id: ConnectorId, name: String, section: Section<'_>) -> Option<Connector> {
    let config = config::read(section)?;
    let Config { provider, http, scopes, hosted_domains, prompt, transitive, apis, .. } = config;
    let basis = format!("google:{}", provider.issuer);
    let google = Arc::new(Google {
        id: id.clone(),
        provider: Provider::new(provider, http),
        scopes,
        hosted_domains,
        required_groups: config.groups,
        prompt,
        groups: config.source.map(|source| Groups::new(source, transitive, apis)),
    });
    Some(Connector {
        id,
        kind: "google",
        name,
        way: WayIn::Redirect(google.clone()),
        refresh: Some(google),
        basis: Basis::Upstream(basis),
    })
}

struct Google {
    id: ConnectorId,
    provider: Provider,
    scopes: Vec<String>,
    hosted_domains: Vec<String>,
    required_groups: Vec<String>,
    prompt: Option<String>,
    groups: Option<Groups>,
}

enum Verdict {
    Welcome(Box<SignedIn>),
    /// In none of these: groups, or domains.
    NotIn(Vec<String>),
}

#[async_trait]
impl RedirectLogin for Google {
    async fn depart(&self, trip: &Trip) -> Result<Departure, Unavailable> {
        let mut more = Vec::new();
        match self.hosted_domains.as_slice() {
            [] => {}
            [one] => more.push(("hd", one.clone())),
            _ => more.push(("hd", "*".to_owned())),
        }
        if trip.wants.offline {
            more.push(("access_type", "offline".to_owned()));
            more.extend(self.prompt.clone().map(|prompt| ("prompt", prompt)));
        }
        let mut trace = Trace::default();
        let departure = self.provider.depart(trip, &self.scopes, more, &mut trace).await;
        departure.map_err(|failure| failure.told(&self.id, &mut trace))
    }

    async fn arrive(
        &self,
        trip: &Trip,
        luggage: &Luggage,
        query: &[(String, String)],
        trace: &mut Trace,
    ) -> Result<Login, Unavailable> {
        let login = async {
            Ok(match self.provider.arrive(trip, luggage, query, trace).await? {
                Outcome::Denied(code) => {
                    Login::Refused(Refusal::UpstreamDenied { code: code.to_owned() })
                }
                Outcome::Proven(proven) => {
                    match self.judge(*proven, None, trip.wants, trace).await? {
                        Verdict::Welcome(person) => Login::Accepted(person),
                        Verdict::NotIn(required) => {
                            Login::Refused(Refusal::NotInRequiredGroup { required })
                        }
                    }
                }
            })
        };
        let login: Result<Login, Failure> = Box::pin(within(login)).await;
        login.map_err(|failure| failure.told(&self.id, trace))
    }
}

#[async_trait]
impl Refresh for Google {
    async fn refresh(&self, known: Known<'_>, trace: &mut Trace) -> Result<Refreshed, Unavailable> {
        let again = Box::pin(within(self.ask_again(&known, trace))).await;
        again.map_err(|failure| failure.told(&self.id, trace))
    }

    fn needs_offline_login(&self) -> bool {
        true
    }
}

impl Google {
    async fn ask_again(&self, known: &Known<'_>, trace: &mut Trace) -> Result<Refreshed, Failure> {
        // Dex keeps Google's refresh token as it is.
        let Some(token) = known.upstream.filter(|token| !token.is_empty()) else {
            let why = "Google gave no refresh token at sign-in".to_owned();
            return Ok(Refreshed::Missing { why });
        };
        let proven = match self.provider.refresh(token, trace).await? {
            Outcome::Denied(code) => {
                let why = format!("Google refuses its refresh token ({code})");
                return Ok(Refreshed::Missing { why });
            }
            Outcome::Proven(proven) => *proven,
        };
        if !proven.has_id_token {
            return Err(Failure::Lacks { endpoint: "token endpoint", what: "an ID token" });
        }
        Ok(match self.judge(proven, Some(known.identity), known.wants, trace).await? {
            Verdict::Welcome(person) => Refreshed::Current(person),
            Verdict::NotIn(required) => {
                Refreshed::Missing { why: format!("in none of {}", required.join(", ")) }
            }
        })
    }

    async fn judge(
        &self,
        proven: Proven,
        before: Option<&Identity>,
        wants: Wants,
        trace: &mut Trace,
    ) -> Result<Verdict, Failure> {
        let claims = &proven.claims;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        let domain = text("hd");
        if !self.hosted_domains.is_empty()
            && !self.hosted_domains.iter().any(|hosted| hosted.eq_ignore_ascii_case(domain))
        {
            trace.dropped("hd", "the ID token names none of hostedDomains");
            return Ok(Verdict::NotIn(self.hosted_domains.clone()));
        }
        // A refresh may leave the name out, and userinfo is rationed.
        let name = match (text("name"), before) {
            ("", Some(before)) => before.username.as_str(),
            (name, _) => name,
        };
        let mut identity = Identity {
            user_id: text("sub").to_owned(),
            username: name.to_owned(),
            preferred_username: String::new(),
            email: text("email").to_owned(),
            email_verified: is_verified(claims),
            groups: Vec::new(),
        };
        if let Some(groups) = &self.groups
            && (wants.groups || !self.required_groups.is_empty())
        {
            match self.groups_of(groups, &identity, domain, trace).await? {
                Some(found) => identity.groups = found,
                None => return Ok(Verdict::NotIn(self.required_groups.clone())),
            }
        }
        let upstream = proven.tokens.refresh;
        Ok(Verdict::Welcome(Box::new(SignedIn { identity, upstream, basis: None })))
    }

    /// `None`: in none of the required ones.
    async fn groups_of(
        &self,
        groups: &Groups,
        identity: &Identity,
        domain: &str,
        trace: &mut Trace,
    ) -> Result<Option<Vec<String>>, Failure> {
        let mut found = match may_be_asked_for(identity, domain) {
            Ok(()) => groups.of(&identity.email, self.provider.http(), trace).await?,
            Err(why) => {
                trace.dropped("groups", why);
                Vec::new()
            }
        };
        if !self.required_groups.is_empty() {
            found.retain(|group| {
                let required = self.required_groups.contains(group);
                if !required {
                    trace.dropped(group, "is not among the configured groups");
                }
                required
            });
            if found.is_empty() {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }
}

fn is_verified(claims: &Map<String, Value>) -> bool {
    claims.get("email_verified").and_then(Value::as_bool) == Some(true)
}

/// Google vouches for an address when it hosts it: gmail.com, or a verified one with `hd`. Any other was only
/// confirmed once by whoever read a mail, and may since be a colleague's.
fn may_be_asked_for(identity: &Identity, domain: &str) -> Result<(), &'static str> {
    let Some((local, of)) = identity.email.split_once('@') else {
        return Err("there is no e-mail address to ask by");
    };
    if local.is_empty() || of.is_empty() || of.contains('@') {
        return Err("the e-mail address is none");
    }
    match identity.email_verified && (!domain.is_empty() || of.eq_ignore_ascii_case("gmail.com")) {
        true => Ok(()),
        false => Err("Google does not vouch for the e-mail address (hd, email_verified)"),
    }
}
