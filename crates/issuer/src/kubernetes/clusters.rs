//! The list of clusters (`/clusters`) that a user's groups allow them to see, and a kubeconfig for these clusters.
//!
//! Being listed grants no access: each API server authorizes requests itself. Each cluster is a client of its own, so
//! that the `aud` of its tokens names no other cluster.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_core::{KubernetesCluster, Secret, Session, scopes};
use serde::Serialize;

use crate::{Issuer, IssuerError};

/// One cluster of the list, as `kubectl-countersign` reads it.
#[derive(Debug, Serialize)]
pub struct ListedCluster<'a> {
    name: &'a str,
    description: &'a str,
    server: &'a str,
    /// Base64 of PEM, as in a kubeconfig.
    #[serde(rename = "certificateAuthorityData", skip_serializing_if = "Option::is_none")]
    certificate_authority_data: Option<String>,
    #[serde(rename = "clientID")]
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
}

impl<'a> From<&'a KubernetesCluster> for ListedCluster<'a> {
    fn from(cluster: &'a KubernetesCluster) -> Self {
        Self {
            name: &cluster.name,
            description: &cluster.description,
            server: &cluster.server,
            certificate_authority_data: certificate_authority_data(cluster),
            client_id: cluster.client.as_str(),
            namespace: cluster.namespace.as_deref(),
        }
    }
}

fn certificate_authority_data(cluster: &KubernetesCluster) -> Option<String> {
    cluster.certificate_authority.as_ref().map(|pem| STANDARD.encode(pem))
}

impl Issuer {
    /// The clusters that the user of this session may see.
    pub fn clusters_of(&self, session: &Session) -> Vec<&KubernetesCluster> {
        self.visible_clusters(&session.identity.groups)
    }

    /// The clusters that the user of an access token may see; without the scope `groups` only those without a group
    /// restriction. `None` is `invalid_token` (RFC 6750 section 3.1).
    pub async fn clusters_of_token(
        &self,
        token: &Secret,
    ) -> Result<Option<Vec<&KubernetesCluster>>, IssuerError> {
        let Some(found) = self.access_token_session(token).await? else { return Ok(None) };
        let groups = match found.scopes.has(scopes::GROUPS) {
            true => found.session.identity.groups,
            false => Vec::new(),
        };
        Ok(Some(self.visible_clusters(&groups)))
    }

    fn visible_clusters(&self, groups: &[String]) -> Vec<&KubernetesCluster> {
        self.settings.clusters.iter().filter(|cluster| cluster.is_visible_to(groups)).collect()
    }

    /// A kubeconfig for these clusters; the first is the current context. It contains no secret: each user entry runs
    /// the exec credential plugin, with kubelogin's flags.
    pub fn kubeconfig(&self, clusters: &[&KubernetesCluster]) -> String {
        let issuer = self.settings.issuer.as_str();
        let (mut entries, mut users, mut contexts) = (String::new(), String::new(), String::new());
        for cluster in clusters {
            let name = quoted(&cluster.name);
            // Writing to a `String` cannot fail.
            let _ = write!(
                entries,
                "  - name: {name}\n    cluster:\n      server: {}\n",
                quoted(&cluster.server)
            );
            if let Some(data) = certificate_authority_data(cluster) {
                let _ = writeln!(entries, "      certificate-authority-data: {data}");
            }
            let _ = write!(
                contexts,
                "  - name: {name}\n    context:\n      cluster: {name}\n      user: {name}\n"
            );
            if let Some(namespace) = &cluster.namespace {
                let _ = writeln!(contexts, "      namespace: {}", quoted(namespace));
            }
            let _ = write!(
                users,
                "  - name: {name}\n    user:\n      exec:\n        \
                 apiVersion: client.authentication.k8s.io/v1\n        \
                 command: kubectl-countersign\n        args:\n          - get-token\n          \
                 - {}\n          - {}\n          - --oidc-extra-scope=email\n          \
                 - --oidc-extra-scope=groups\n          - --oidc-extra-scope=offline_access\n        \
                 interactiveMode: IfAvailable\n        \
                 installHint: install kubectl-countersign, or kubelogin as kubectl-oidc_login\n",
                quoted(&format!("--oidc-issuer-url={issuer}")),
                quoted(&format!("--oidc-client-id={}", cluster.client)),
            );
        }
        let current = clusters.first().map_or_else(|| quoted(""), |first| quoted(&first.name));
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {current}\nclusters:\n{entries}\
             contexts:\n{contexts}users:\n{users}"
        )
    }
}

/// Quotes a text for YAML: a JSON string is a valid double-quoted YAML scalar.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
