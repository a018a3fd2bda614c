//! `exampleApp`: the example application that runs beside the server.

use countersign_config::{Section, did_you_mean};
use countersign_core::Client;
use countersign_core::network::is_loopback_url;
use url::Url;

/// The example application's client and listen address.
#[derive(Clone)]
pub struct ExampleApp {
    pub client: Client,
    /// The client's first redirect URI that is http on this machine.
    pub redirect_uri: Url,
}

/// Without the block there is no example application.
pub fn read(root: &Section<'_>, clients: &[Client]) -> Option<ExampleApp> {
    let section = root.section("exampleApp")?;
    let example_app = section.required_text("clientID").and_then(|id| {
        find(&id, clients)
            .map_err(|reason| section.error("clientID", format!("{id:?} {reason}")))
            .ok()
    });
    section.finish();
    example_app
}

fn find(id: &str, clients: &[Client]) -> Result<ExampleApp, String> {
    let Some(client) = clients.iter().find(|client| client.id.as_str() == id) else {
        let near = did_you_mean(id, clients.iter().map(|client| client.id.as_str()));
        return Err(format!("is no client in this file{near}"));
    };
    let urls = client.redirect_uris.iter().filter_map(|uri| Url::parse(uri).ok());
    let redirect_uri = urls.into_iter().find(|url| {
        url.scheme() == "http" && is_loopback_url(url) && url.port().is_some() && url.path() != "/"
    });
    match redirect_uri {
        Some(redirect_uri) => Ok(ExampleApp { client: client.clone(), redirect_uri }),
        None => Err(
            "has no redirect URI such as http://127.0.0.1:5555/callback, where the application would listen"
                .to_owned(),
        ),
    }
}
