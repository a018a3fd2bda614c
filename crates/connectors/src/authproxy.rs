//! A reverse proxy that has authenticated the user and sends the identity in header fields.
//!
//! The header fields are trusted only if the connection comes from a configured address; no header (such as
//! `X-Forwarded-For`) and no path can replace that. Fields that are ambiguous, such as two names in one field, or that
//! the browser behind the proxy may have sent, are refused.

use std::net::IpAddr;
use std::sync::Arc;

use countersign_config::Section;
use countersign_core::connector::{
    Fingerprint, LoginMethod, LoginOutcome, ProxyHeaders, Refusal, SignedIn, TrustedHeaderLogin,
};
use countersign_core::network::Network;
use countersign_core::{Connector, ConnectorId, Identity, Trace};

mod config;
mod fields;

use config::Config;
use fields::Fields;

/// Reads the connector. `None` if the section cannot be used; every problem is recorded in it.
pub(crate) fn read(id: ConnectorId, name: String, section: Section<'_>) -> Option<Connector> {
    let config = config::read(section)?;
    // A proxy has no host of its own; the name of the id header identifies the set of user ids.
    let fingerprint = Fingerprint::Upstream(format!("authproxy:{}", config.user_id));
    let login_method = LoginMethod::TrustedHeader(Arc::new(AuthProxy { id: id.clone(), config }));
    Some(Connector { id, kind: "authproxy", name, login_method, refresh: None, fingerprint })
}

struct AuthProxy {
    id: ConnectorId,
    config: Config,
}

impl TrustedHeaderLogin for AuthProxy {
    fn fields(&self) -> Vec<&str> {
        self.config.names().to_vec()
    }

    fn login(&self, proxy_headers: &ProxyHeaders, trace: &mut Trace) -> LoginOutcome {
        if !self.trusts(proxy_headers.peer) {
            trace.excluded("the headers", "the connection comes from none of trustedProxies");
            return LoginOutcome::Refused(Refusal::NotThroughProxy);
        }
        match self.person(proxy_headers, trace) {
            Ok(identity) => LoginOutcome::Accepted(Box::new(SignedIn {
                identity,
                upstream: None,
                fingerprint: None,
            })),
            Err(reason) => {
                trace.note(reason.clone());
                LoginOutcome::Refused(Refusal::UnclearHeaders { reason })
            }
        }
    }

    fn diagnose(&self, trace: &mut Trace) {
        let config = &self.config;
        let networks: Vec<String> = config.proxies.iter().map(Network::to_string).collect();
        trace.note(format!(
            "a proxy at {} authenticates the user on the path /callback/{} of the issuer, and passes the request on",
            networks.join(" or "),
            self.id
        ));
        trace.note(format!(
            "it sets {} (the user, always) itself, whatever the browser sent",
            config.user
        ));
        let others: Vec<&str> =
            config.names().into_iter().filter(|name| *name != config.user).collect();
        trace.note(format!(
            "and it sets or takes away {}: what it lets through, the browser wrote",
            others.join(", ")
        ));
        if !config.static_groups.is_empty() {
            trace.note(format!("everybody is in {}", config.static_groups.join(", ")));
        }
    }
}

impl AuthProxy {
    fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.config.proxies.iter().any(|network| network.contains(peer)))
    }

    /// The identity, as in Dex; `Err` is why the header fields are ambiguous or incomplete.
    fn person(&self, proxy_headers: &ProxyHeaders, trace: &mut Trace) -> Result<Identity, String> {
        let config = &self.config;
        let fields = Fields::new(&proxy_headers.fields, &config.names())?;
        let user = fields
            .one(&config.user)?
            .ok_or_else(|| format!("{} is missing: the proxy has to say who it is", config.user))?;
        let user_id = fields.one(&config.user_id)?;
        let email = fields.one(&config.email)?;
        let name = fields.name(&config.user_name)?;
        let groups = fields.list(&config.group, &config.separator)?;
        for group in &groups {
            trace.included(group, "named by the proxy");
        }
        let added = config.static_groups.iter().filter(|group| !groups.contains(*group));
        Ok(Identity {
            user_id: user_id.unwrap_or_else(|| user.clone()),
            preferred_username: name.unwrap_or_else(|| user.clone()),
            email: email.unwrap_or_else(|| user.clone()),
            email_verified: true,
            username: user,
            groups: groups.iter().chain(added).cloned().collect(),
        })
    }
}

#[cfg(test)]
mod tests;
