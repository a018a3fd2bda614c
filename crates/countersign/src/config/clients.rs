//! `staticClients`: the registered clients (RFC 6749 section 2), with back-channel logout and redirect URIs after logout;
//! and `exampleApp`: which of them is the example application.

use countersign_config::{Environment, Item, Section, did_you_mean};
use countersign_core::client::registration::parse_backchannel_logout_uri;
use countersign_core::client::{DEVICE_CALLBACK, OUT_OF_BAND, OWN_PAGES, registration};
use countersign_core::network::is_loopback_url;
use countersign_core::{Client, ClientId, ConnectorId, Secret};
use countersign_issuer::settings::SignOnPolicy;
use countersign_server::example_app::is_callback_path;
use url::Url;

use super::{kubernetes, lifetimes, pages, text_items, variable};

/// Settings that clients are validated against.
pub struct Known<'a> {
    pub connectors: &'a [String],
    pub remote_logos: bool,
    /// Session lifetimes, for clients without their own.
    pub sessions: &'a SignOnPolicy,
    pub env: Environment<'a>,
}

pub fn read(root: &Section<'_>, known: &Known<'_>) -> Vec<Client> {
    let sections = root.sections("staticClients");
    let mut clients: Vec<Client> = Vec::new();
    let mut peers = Vec::new();
    for section in sections {
        let id = read_id(&section, known.env);
        if let Some(id) = &id
            && clients.iter().any(|other| other.id == *id)
        {
            let key = if section.has("id") { "id" } else { "idEnv" };
            section.error(key, format!("{id} is the id of another client above"));
        }
        let trusted = text_items(&section, "trustedPeers");
        let mut client = read_client(&section, id, known);
        if let Some(client) = &mut client {
            client.trusted_peers = trusted.iter().map(|(_, id)| ClientId::new(id)).collect();
        }
        peers.extend(trusted);
        unsupported(&section);
        section.finish();
        clients.extend(client);
    }
    for (item, peer) in peers {
        if !clients.iter().any(|client| client.id.as_str() == peer) {
            let near = did_you_mean(&peer, clients.iter().map(|client| client.id.as_str()));
            item.warning(format!("{peer:?} is no client in this file{near}"));
        }
    }
    clients
}

/// Every key is read before an error is returned; the caller validates trusted peers.
fn read_client(section: &Section<'_>, id: Option<ClientId>, known: &Known<'_>) -> Option<Client> {
    let public = section.flag("public").unwrap_or(false);
    let name = section.required_text("name");
    let secret = read_secret(section, public, known.env);
    let redirect_uris = read_redirect_uris(section);
    if redirect_uris.is_empty() && !public {
        let reason = "is empty: nobody can sign in to this client";
        section.warning("redirectURIs", reason);
    }
    let logout = read_logout(section);
    let mut client = Client {
        id: id.unwrap_or_else(|| ClientId::new("")),
        secret: secret.ok().flatten(),
        name: name.unwrap_or_default(),
        logo_url: pages::read_logo(section, known.remote_logos),
        redirect_uris,
        public,
        allowed_connectors: read_allowed_connectors(section, known.connectors),
        lifetimes: lifetimes::read_client(section, known.sessions),
        post_logout_redirect_uris: logout.post_logout_redirect_uris,
        backchannel_logout_uri: logout.backchannel_logout_uri,
        ends_with_browser: logout.ends_with_browser,
        own_groups: read_own_groups(section),
        ..Client::default()
    };
    client.kubernetes = kubernetes::read_client_settings(section, &client, known.env);
    // Entries with other errors are kept too, so that references to them are not reported as unknown.
    (!client.id.as_str().is_empty()).then_some(client)
}

fn read_id(section: &Section<'_>, env: Environment<'_>) -> Option<ClientId> {
    let (key, id) = match (section.is_set("id"), section.is_set("idEnv")) {
        (true, true) => {
            section.error("idEnv", "is given together with id, expected only one of them");
            return None;
        }
        (false, true) => ("idEnv", variable(section, "idEnv", env)?),
        _ => ("id", section.required_text("id")?),
    };
    // RFC 6749 appendix A.1.
    if !id.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        section.error(key, "holds characters that a client id cannot, expected visible ASCII");
        return None;
    }
    if id.contains(' ') {
        let reason =
            "contains a space: the scope audience:server:client_id: cannot name this client";
        section.warning(key, reason);
    }
    if id == OWN_PAGES {
        section.error(key, format!("{id} is what our own pages are called, expected another id"));
        return None;
    }
    Some(ClientId::new(id))
}

/// `Err`: an error was recorded.
fn read_secret(
    section: &Section<'_>,
    public: bool,
    env: Environment<'_>,
) -> Result<Option<Secret>, ()> {
    match (section.has("secret"), section.is_set("secretEnv")) {
        (true, true) => {
            section.error("secretEnv", "is given together with secret, expected only one of them");
            Err(())
        }
        (false, true) => match variable(section, "secretEnv", env) {
            Some(secret) => Ok(Some(Secret::new(secret))),
            None => Err(()),
        },
        (true, false) => {
            let secret = section.secret("secret").ok_or(())?;
            if !secret.is_empty() {
                return Ok(Some(secret));
            }
            if public {
                return Ok(None);
            }
            section.error("secret", "is empty, and the client is not public");
            Err(())
        }
        (false, false) if public => Ok(None),
        (false, false) => {
            section.error("secret", "is missing: give secret or secretEnv, or set public: true");
            Err(())
        }
    }
}

fn read_redirect_uris(section: &Section<'_>) -> Vec<String> {
    let items = text_items(section, "redirectURIs");
    for (item, uri) in &items {
        check_redirect_uri(item, uri);
    }
    items.into_iter().map(|(_, uri)| uri).collect()
}

/// Validates a redirect URI. It is used unchanged, since redirect URIs are compared byte for byte.
fn check_redirect_uri(item: &Item<'_>, uri: &str) {
    if let Err(reason) = registration::check_redirect_uri(uri) {
        item.error(format!("found {uri:?}, {reason}"));
        return;
    }
    let is_device_callback = uri.starts_with('/') && uri.ends_with(DEVICE_CALLBACK);
    if uri == OUT_OF_BAND || is_device_callback {
        return;
    }
    if registration::is_path(uri) {
        let reason = "is relative: the browser is sent to this path on the host of the issuer, as by Dex; \
                   right only where a proxy serves the application there";
        item.warning(reason);
        return;
    }
    if uri.contains('*') {
        item.warning("is compared exactly: * is taken literally here");
    }
    let exposed = |url: Url| url.scheme() == "http" && !is_loopback_url(&url);
    if Url::parse(uri).is_ok_and(exposed) {
        item.warning("is http beyond this machine: codes travel in clear, expected https");
    }
}

/// `clientCredentialsClaims`: groups for tokens of the client credentials grant, as in Dex.
fn read_own_groups(section: &Section<'_>) -> Vec<String> {
    let Some(claims) = section.section("clientCredentialsClaims") else { return Vec::new() };
    let groups = claims.texts("groups");
    claims.finish();
    groups
}

fn read_allowed_connectors(section: &Section<'_>, known: &[String]) -> Vec<ConnectorId> {
    let items = text_items(section, "allowedConnectors");
    for (item, id) in &items {
        if !known.contains(id) {
            let near = did_you_mean(id, known.iter().map(String::as_str));
            item.error(format!("{id:?} is no connector in this file{near}"));
        }
    }
    items.into_iter().map(|(_, id)| ConnectorId::new(id)).collect()
}

fn unsupported(section: &Section<'_>) {
    section.not_supported("ssoSharedWith", false);
    section.not_supported("mfaChain", true);
}

/// The logout keys of a client.
pub struct Logout {
    pub post_logout_redirect_uris: Vec<String>,
    pub backchannel_logout_uri: Option<Url>,
    /// Its refresh tokens end when the browser signs out.
    pub ends_with_browser: bool,
}

pub fn read_logout(section: &Section<'_>) -> Logout {
    let items = text_items(section, "postLogoutRedirectURIs");
    for (item, uri) in &items {
        check_redirect_uri(item, uri);
    }
    // `sid` is always sent, so the value has no effect.
    section.flag("backchannelLogoutSessionRequired");
    let lifetimes = [("", false), ("standalone", false), ("session", true)];
    Logout {
        post_logout_redirect_uris: items.into_iter().map(|(_, uri)| uri).collect(),
        backchannel_logout_uri: read_backchannel(section),
        ends_with_browser: section.choice("refreshTokenLifetime", &lifetimes).unwrap_or(false),
    }
}

/// Absolute and without fragment (Back-Channel Logout 1.0 section 2.2).
fn read_backchannel(section: &Section<'_>) -> Option<Url> {
    const KEY: &str = "backchannelLogoutURI";
    let text = section.text(KEY).filter(|text| !text.is_empty())?;
    let url = match parse_backchannel_logout_uri(&text) {
        Ok(url) => url,
        Err(reason) => {
            section.error(KEY, format!("found {text:?}, {reason}"));
            return None;
        }
    };
    if url.scheme() == "http" && !is_loopback_url(&url) {
        let reason = "is http beyond this machine: anybody on the network path learns who signs out, expected https";
        section.warning(KEY, reason);
    }
    Some(url)
}

/// The example application's client and listen address.
#[derive(Clone)]
pub struct ExampleApp {
    pub client: Client,
    /// The client's first redirect URI that is http on this machine.
    pub redirect_uri: Url,
}

/// `exampleApp`, the example application that runs beside the server; without the block there is none.
pub fn read_example_app(root: &Section<'_>, clients: &[Client]) -> Option<ExampleApp> {
    let section = root.section("exampleApp")?;
    let example_app = section.required_text("clientID").and_then(|id| {
        find_example_app(&id, clients)
            .map_err(|reason| section.error("clientID", format!("{id:?} {reason}")))
            .ok()
    });
    section.finish();
    example_app
}

fn find_example_app(id: &str, clients: &[Client]) -> Result<ExampleApp, String> {
    let Some(client) = clients.iter().find(|client| client.id.as_str() == id) else {
        let near = did_you_mean(id, clients.iter().map(|client| client.id.as_str()));
        return Err(format!("is no client in this file{near}"));
    };
    let urls = client.redirect_uris.iter().filter_map(|uri| Url::parse(uri).ok());
    let redirect_uri = urls.into_iter().find(|url| {
        let is_own = url.scheme() == "http" && is_loopback_url(url) && url.port().is_some();
        is_own && is_callback_path(url.path())
    });
    match redirect_uri {
        Some(redirect_uri) => Ok(ExampleApp { client: client.clone(), redirect_uri }),
        None => Err(
            "has no redirect URI such as http://127.0.0.1:5555/callback, where the application would listen"
                .to_owned(),
        ),
    }
}
