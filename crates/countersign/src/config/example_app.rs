//! `exampleApp`: the example application beside the server.

use countersign_config::{Section, did_you_mean};
use countersign_core::Client;
use countersign_core::network::is_loopback_url;
use url::Url;

/// The client that the example application acts for, and where it listens.
#[derive(Clone)]
pub struct ExampleApp {
    pub client: Client,
    /// The first redirect URI of the client that is http on this machine.
    pub redirect_uri: Url,
}

/// Without the block there is no example application.
pub fn read(root: &Section<'_>, clients: &[Client]) -> Option<ExampleApp> {
    let section = root.section("exampleApp")?;
    let id = section.required_text("clientID");
    section.finish();
    let id = id?;
    let Some(client) = clients.iter().find(|client| client.id.as_str() == id) else {
        let near = did_you_mean(&id, clients.iter().map(|client| client.id.as_str()));
        section.error("clientID", format!("{id:?} is no client in this file{near}"));
        return None;
    };
    let urls = client.redirect_uris.iter().filter_map(|uri| Url::parse(uri).ok());
    let own = urls.into_iter().find(|url| {
        url.scheme() == "http" && is_loopback_url(url) && url.port().is_some() && url.path() != "/"
    });
    let Some(redirect_uri) = own else {
        let why = "has no redirect URI such as http://127.0.0.1:5555/callback, where the application would listen";
        section.error("clientID", format!("{id:?} {why}"));
        return None;
    };
    Some(ExampleApp { client: client.clone(), redirect_uri })
}
