//! Connectors, if the operator has enabled the calls (`DEX_API_CONNECTORS_CRUD`, as in Dex): their configuration
//! contains secrets.

use countersign_core::{ConnectorId, Secret, StoredConnector};
use tonic::Status;

use crate::api::{
    Connector, CreateConnectorReq, CreateConnectorResp, DeleteConnectorReq, DeleteConnectorResp,
    ListConnectorReq, ListConnectorResp, UpdateConnectorReq, UpdateConnectorResp,
};
use crate::call::Call;
use crate::call::{failed, is_done, refused};

pub async fn create(
    call: &Call,
    request: CreateConnectorReq,
) -> Result<CreateConnectorResp, Status> {
    check_enabled(call)?;
    let connector = request.connector.ok_or_else(|| refused("no connector supplied"))?;
    let connector = StoredConnector {
        id: ConnectorId::new(connector.id),
        kind: connector.r#type,
        name: connector.name,
        config: config_of(connector.config)?,
        grant_types: connector.grant_types,
    };
    let outcome = call.issuer.create_connector(&call.administrator, &connector).await;
    let is_done = is_done(outcome.map_err(failed)?, "connector", "create")?;
    Ok(CreateConnectorResp { already_exists: !is_done })
}

/// Empty members are left unchanged; grant types are replaced if the member is present.
pub async fn update(
    call: &Call,
    request: UpdateConnectorReq,
) -> Result<UpdateConnectorResp, Status> {
    check_enabled(call)?;
    if request.id.is_empty() {
        return Err(refused("no connector ID supplied"));
    }
    let UpdateConnectorReq { id, new_type, new_name, new_config, new_grant_types } = request;
    if new_type.is_empty()
        && new_name.is_empty()
        && new_config.is_empty()
        && new_grant_types.is_none()
    {
        return Err(refused("nothing to update"));
    }
    let config = match new_config.is_empty() {
        true => None,
        false => Some(config_of(new_config)?),
    };
    let change = |connector: &mut StoredConnector| {
        if !new_type.is_empty() {
            connector.kind.clone_from(&new_type);
        }
        if !new_name.is_empty() {
            connector.name.clone_from(&new_name);
        }
        if let Some(config) = &config {
            connector.config = config.clone();
        }
        if let Some(grant_types) = &new_grant_types {
            connector.grant_types.clone_from(&grant_types.grant_types);
        }
    };
    let id = ConnectorId::new(id);
    let outcome = call.issuer.change_connector(&call.administrator, &id, change).await;
    let is_done = is_done(outcome.map_err(failed)?, "connector", "update")?;
    Ok(UpdateConnectorResp { not_found: !is_done })
}

pub async fn delete(
    call: &Call,
    request: DeleteConnectorReq,
) -> Result<DeleteConnectorResp, Status> {
    check_enabled(call)?;
    if request.id.is_empty() {
        return Err(refused("no connector ID supplied"));
    }
    let id = ConnectorId::new(request.id);
    let outcome = call.issuer.delete_connector(&call.administrator, &id).await.map_err(failed)?;
    Ok(DeleteConnectorResp { not_found: !is_done(outcome, "connector", "delete")? })
}

/// Lists connectors; those of the configuration file without `config`.
pub async fn list(call: &Call, _: ListConnectorReq) -> Result<ListConnectorResp, Status> {
    check_enabled(call)?;
    let all = &call.issuer.connectors;
    let configured = all.iter().filter(|connector| all.is_configured(&connector.id));
    let configured = configured.map(|connector| Connector {
        id: connector.id.to_string(),
        r#type: connector.kind.to_owned(),
        name: connector.name.clone(),
        ..Connector::default()
    });
    let stored = call.issuer.stored_connectors().await.map_err(failed)?;
    let stored = stored.into_iter().map(|connector| Connector {
        id: connector.id.to_string(),
        r#type: connector.kind,
        name: connector.name,
        config: connector.config.expose().as_bytes().to_vec(),
        grant_types: connector.grant_types,
    });
    Ok(ListConnectorResp { connectors: configured.chain(stored).collect() })
}

fn check_enabled(call: &Call) -> Result<(), Status> {
    match call.settings.has_connectors {
        true => Ok(()),
        false => Err(refused(
            "connectors can be managed over gRPC only with DEX_API_CONNECTORS_CRUD=true in the server's environment",
        )),
    }
}

fn config_of(bytes: Vec<u8>) -> Result<Secret, Status> {
    let invalid = |_| refused("the config is not JSON");
    String::from_utf8(bytes).map(Secret::from).map_err(invalid)
}
