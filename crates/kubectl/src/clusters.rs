//! The clusters that the signed-in person's groups may see, as the issuer lists them at `/clusters`.

use countersign_core::Secret;
use serde::Deserialize;

use crate::cli::ClientArguments;
use crate::error::Error;
use crate::issuer::Issuer;
use crate::kubeconfig::Entry;

/// The scope by which Dex and Countersign issue a token for another client (`aud`).
const AUDIENCE_SCOPE: &str = "audience:server:client_id:";

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// Address of the API server.
    pub server: String,
    #[serde(rename = "certificateAuthorityData")]
    pub certificate_authority_data: Option<String>,
    /// The client that the API server accepts tokens for (`--oidc-client-id`).
    #[serde(rename = "clientID")]
    pub client_id: String,
    pub namespace: Option<String>,
}

#[derive(Deserialize)]
struct ClusterList {
    clusters: Vec<Cluster>,
}

/// Asks the issuer with the person's access token.
pub async fn list(issuer: &Issuer, access_token: &Secret) -> Result<Vec<Cluster>, Error> {
    let url = format!("{}/clusters", issuer.metadata.issuer.trim_end_matches('/'));
    let list: ClusterList = issuer.get(&url, access_token).await?;
    Ok(list.clusters)
}

impl Cluster {
    /// What the kubeconfig needs: `get-token` for this cluster's own audience, with the trust that was used
    /// to sign in.
    pub fn entry(&self, client: &ClientArguments) -> Entry {
        let mut arguments = vec![
            format!("--oidc-issuer-url={}", client.issuer()),
            format!("--oidc-client-id={}", client.oidc_client_id),
        ];
        arguments.extend(
            client.oidc_extra_scope.iter().map(|scope| format!("--oidc-extra-scope={scope}")),
        );
        if self.client_id != client.oidc_client_id {
            arguments.push(format!("--oidc-extra-scope={AUDIENCE_SCOPE}{}", self.client_id));
        }
        let files = client.certificate_authority.iter();
        arguments.extend(files.map(|file| format!("--certificate-authority={}", file.display())));
        Entry {
            name: self.name.clone(),
            server: self.server.clone(),
            certificate_authority_data: self.certificate_authority_data.clone(),
            namespace: self.namespace.clone(),
            get_token_arguments: arguments,
        }
    }
}
