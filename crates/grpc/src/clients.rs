//! Clients: those of the configuration file can be read, those of the database can also be changed.

use countersign_core::client::registration::parse_backchannel_logout_uri;
use countersign_core::{Client, ClientId, ConnectorId, Secret, ids};
use tonic::Status;
use url::Url;

use crate::api::{
    self, ClientInfo, CreateClientReq, CreateClientResp, DeleteClientReq, DeleteClientResp,
    GetClientReq, GetClientResp, ListClientReq, ListClientResp, UpdateClientReq, UpdateClientResp,
};
use crate::call::Call;
use crate::call::{failed, is_done, refused};

pub async fn get(call: &Call, request: GetClientReq) -> Result<GetClientResp, Status> {
    call.issuer.reload_stored_objects().await.map_err(failed)?;
    let client = call.issuer.clients.get(&ClientId::new(request.id));
    let client = client.ok_or_else(|| refused("not found"))?;
    Ok(GetClientResp { client: Some(message(&client)) })
}

pub async fn create(call: &Call, request: CreateClientReq) -> Result<CreateClientResp, Status> {
    let request = request.client.ok_or_else(|| refused("no client supplied"))?;
    let client = client_of(request)?;
    let outcome = call.issuer.create_client(&call.administrator, &client).await.map_err(failed)?;
    Ok(match is_done(outcome, "client", "create")? {
        true => CreateClientResp { already_exists: false, client: Some(message(&client)) },
        false => CreateClientResp { already_exists: true, client: None },
    })
}

/// As in Dex, empty members are left unchanged, and neither the secret nor `public` can be changed.
pub async fn update(call: &Call, request: UpdateClientReq) -> Result<UpdateClientResp, Status> {
    if request.id.is_empty() {
        return Err(refused("update client: no client ID supplied"));
    }
    let logout = request.backchannel_logout_uri.as_deref().map(logout_uri).transpose()?;
    let ends = request.refresh_token_lifetime.as_deref().map(ends_with_browser).transpose()?;
    let id = ClientId::new(&request.id);
    let change = |client: &mut Client| {
        replace_list(&mut client.redirect_uris, &request.redirect_uris, Clone::clone);
        replace_list(&mut client.trusted_peers, &request.trusted_peers, |id| ClientId::new(id));
        let connectors = &request.allowed_connectors;
        replace_list(&mut client.allowed_connectors, connectors, |id| ConnectorId::new(id));
        let after_logout = &request.post_logout_redirect_uris;
        replace_list(&mut client.post_logout_redirect_uris, after_logout, Clone::clone);
        if !request.name.is_empty() {
            client.name.clone_from(&request.name);
        }
        if !request.logo_url.is_empty() {
            client.logo_url = Some(request.logo_url.clone());
        }
        if let Some(logout) = &logout {
            client.backchannel_logout_uri.clone_from(logout);
        }
        client.ends_with_browser = ends.unwrap_or(client.ends_with_browser);
    };
    let outcome = call.issuer.change_client(&call.administrator, &id, change).await;
    let is_done = is_done(outcome.map_err(failed)?, "client", "update")?;
    Ok(UpdateClientResp { not_found: !is_done })
}

pub async fn delete(call: &Call, request: DeleteClientReq) -> Result<DeleteClientResp, Status> {
    let id = ClientId::new(request.id);
    let outcome = call.issuer.delete_client(&call.administrator, &id).await.map_err(failed)?;
    Ok(DeleteClientResp { not_found: !is_done(outcome, "client", "delete")? })
}

/// Lists clients ordered by id, without secrets.
pub async fn list(call: &Call, _: ListClientReq) -> Result<ListClientResp, Status> {
    call.issuer.reload_stored_objects().await.map_err(failed)?;
    let mut clients: Vec<_> = call.issuer.clients.iter().collect();
    clients.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(ListClientResp { clients: clients.iter().map(|client| information(client)).collect() })
}

/// A missing id or secret is generated, as in Dex.
fn client_of(request: api::Client) -> Result<Client, Status> {
    let unavailable = |_| Status::internal("no randomness");
    let id = match request.id.as_str() {
        "" => ids::random_id().map_err(unavailable)?,
        id => id.to_owned(),
    };
    let secret = match request.secret.as_str() {
        "" if request.public => None,
        "" => Some(Secret::new(ids::random_token().map_err(unavailable)?)),
        secret => Some(Secret::new(secret)),
    };
    // Dex shows the name of a client without one as an empty text.
    let name = if request.name.is_empty() { id.clone() } else { request.name };
    Ok(Client {
        id: ClientId::new(id),
        secret,
        name,
        logo_url: Some(request.logo_url).filter(|url| !url.is_empty()),
        redirect_uris: request.redirect_uris,
        trusted_peers: request.trusted_peers.into_iter().map(ClientId::new).collect(),
        public: request.public,
        allowed_connectors: request.allowed_connectors.into_iter().map(ConnectorId::new).collect(),
        post_logout_redirect_uris: request.post_logout_redirect_uris,
        backchannel_logout_uri: logout_uri(&request.backchannel_logout_uri)?,
        ends_with_browser: ends_with_browser(&request.refresh_token_lifetime)?,
        ..Client::default()
    })
}

/// Parses the URI; an empty text removes it.
fn logout_uri(text: &str) -> Result<Option<Url>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = |reason: &str| refused(&format!("backchannel_logout_uri {text:?}: {reason}"));
    parse_backchannel_logout_uri(text).map(Some).map_err(invalid)
}

fn ends_with_browser(lifetime: &str) -> Result<bool, Status> {
    match lifetime {
        "" | "standalone" => Ok(false),
        "session" => Ok(true),
        _ => Err(refused(&format!(
            "refresh_token_lifetime is {lifetime:?}, expected standalone or session"
        ))),
    }
}

fn replace_list<T>(current: &mut Vec<T>, new: &[String], convert: impl Fn(&String) -> T) {
    if !new.is_empty() {
        *current = new.iter().map(convert).collect();
    }
}

fn message(client: &Client) -> api::Client {
    let ClientInfo {
        id,
        redirect_uris,
        trusted_peers,
        public,
        name,
        logo_url,
        allowed_connectors,
        backchannel_logout_uri,
        post_logout_redirect_uris,
        refresh_token_lifetime,
    } = information(client);
    let secret = client.secret.as_ref().map(|secret| secret.expose().to_owned());
    api::Client {
        id,
        secret: secret.unwrap_or_default(),
        redirect_uris,
        trusted_peers,
        public,
        name,
        logo_url,
        allowed_connectors,
        backchannel_logout_uri,
        post_logout_redirect_uris,
        refresh_token_lifetime,
    }
}

fn information(client: &Client) -> ClientInfo {
    let logout = client.backchannel_logout_uri.as_ref();
    ClientInfo {
        id: client.id.to_string(),
        redirect_uris: client.redirect_uris.clone(),
        trusted_peers: client.trusted_peers.iter().map(ClientId::to_string).collect(),
        public: client.public,
        name: client.name.clone(),
        logo_url: client.logo_url.clone().unwrap_or_default(),
        allowed_connectors: client.allowed_connectors.iter().map(ConnectorId::to_string).collect(),
        backchannel_logout_uri: logout.map(ToString::to_string).unwrap_or_default(),
        post_logout_redirect_uris: client.post_logout_redirect_uris.clone(),
        refresh_token_lifetime: if client.ends_with_browser { "session" } else { "" }.to_owned(),
    }
}
