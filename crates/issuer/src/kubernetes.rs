//! The requests of a cluster: token review, whether a token is valid now ([`Review`]), and the current groups of its user
//! as distributed claims (OpenID Connect Core 1.0 section 5.6.2). Both read the grant and its session from the database
//! within the request, so both refuse a token as soon as one of them has ended. No response is cached here; the API
//! server caches it for as long as it is configured to.
//!
//! And the list of clusters (`/clusters`) that a user's groups allow them to see, with a kubeconfig for these clusters.
//! Being listed grants no access: each API server authorizes requests itself. Each cluster is a client of its own, so
//! that the `aud` of its tokens names no other cluster.

mod user;

pub use user::User;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_core::kubernetes::Webhook;
use countersign_core::{
    Client, ClientId, GrantId, KubernetesCluster, Secret, Session, Timestamp, scopes,
};
use countersign_jose::{Expected, Typ};
use serde::Serialize;
use serde_json::Value;
use user::user_of;

use crate::token::{Audience, GroupsHandle};
use crate::{Issuer, IssuerError};

/// Compared against when the client has no webhook secret or is unknown. A match with it is never accepted.
const NOBODY: &str = "no cluster has this secret, it is only here to be compared";

/// An authenticated API server.
#[derive(Clone, Debug)]
pub struct Cluster {
    client: Arc<Client>,
    webhook: Webhook,
}

/// The answer to a TokenReview.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Review {
    Yes(User),
    /// The reason, for the API server's log. Without a reason the API server caches the refusal.
    No(String),
}

impl Issuer {
    /// Authenticates an API server. `None` is 401: unknown client, a client without a webhook, or a wrong secret. All
    /// three cost one comparison, so that timing does not reveal which.
    pub fn cluster(&self, client: &ClientId, credential: Option<&Secret>) -> Option<Cluster> {
        let client = self.clients.get(client);
        let webhook = client.as_ref().and_then(|c| c.kubernetes.as_ref()?.webhook.as_ref());
        let nobody = Secret::new(NOBODY);
        let expected = webhook.map_or(&nobody, |webhook| &webhook.secret);
        let matched = expected.matches(credential.map_or("", Secret::expose));
        let cluster = (client.clone(), webhook.cloned());
        let (Some(client), Some(webhook)) = cluster else { return None };
        matched.then_some(Cluster { client, webhook })
    }

    /// Reviews an ID token for the cluster. `Err`: whether it is valid could not be determined.
    pub async fn review(&self, cluster: &Cluster, token: &Secret) -> Result<Review, IssuerError> {
        let (client, webhook) = (&*cluster.client, &cluster.webhook);
        // Only ID tokens: the audience of an access token is this server, and its receiver could present it elsewhere.
        let expected = Expected {
            issuer: self.settings.issuer.as_str(),
            typ: Typ::IdToken,
            now: Some(self.now()),
            leeway: Duration::ZERO,
        };
        let claims = match self.keyring.keys().verifiers.verify(token.expose(), &expected) {
            Ok(claims) => claims,
            Err(refused) => return Ok(no(client, format!("not a good ID token: {refused}"))),
        };
        // OpenID Connect Core 1.0 section 3.1.3.7, step 3.
        if !claims.is_for(client.id.as_str()) {
            return Ok(no(client, format!("the token is not for {}", client.id)));
        }
        let grant = claims.text("grant_id").map(GrantId::new);
        let living = match grant {
            Some(grant) => self.live_grant(&grant).await?,
            None => None,
        };
        let Some((grant, session)) = living else {
            return Ok(no(client, "the session has ended"));
        };
        let mut claims = claims.into_map();
        let wanted = webhook.groups_claim.as_deref() == Some("groups");
        if wanted && !claims.contains_key("groups") && claims.contains_key("_claim_names") {
            let Some(groups) = self.groups_of(&claims).await? else {
                return Ok(no(client, "the upstream does not say which groups there are now"));
            };
            claims.insert("groups".to_owned(), Value::from(groups));
        }
        match user_of(&claims, webhook, self.settings.issuer.as_str()) {
            Ok(user) => {
                tracing::debug!(client = %client.id, session = %session.id, grant = %grant.id, "a token review succeeded");
                Ok(Review::Yes(user))
            }
            Err(reason) => Ok(no(client, reason)),
        }
    }
}

fn no(client: &Client, reason: impl Into<String>) -> Review {
    let reason = reason.into();
    tracing::info!(client = %client.id, reason = %reason, "a token review was refused");
    Review::No(reason)
}

/// `typ` of the response, so that none of our endpoints accepts it as an ID or access token (RFC 8725 section 3.11).
/// Kubernetes ignores `typ`; without `sub` the response authenticates no user there.
const TYPE: &str = "groups+jwt";
/// Kubernetes uses the response at once and does not keep it.
const LIFETIME: Duration = Duration::from_mins(1);

/// Has no `sub`, `email` or `name`, so it authenticates no user at any relying party.
#[derive(Serialize)]
struct GroupsToken<'a> {
    iss: &'a str,
    aud: &'a Audience,
    exp: i64,
    iat: i64,
    /// Present also when empty: Kubernetes refuses a response without the claim.
    groups: &'a [String],
}

impl Issuer {
    /// The current groups, as a JWT that expires after 60 seconds. `None` is `invalid_token` (RFC 6750 section 3.1):
    /// not signed here, expired, its session has ended, or the upstream no longer knows the user.
    pub async fn groups_token(&self, handle: &Secret) -> Result<Option<String>, IssuerError> {
        let keys = self.keyring.keys();
        let Some(handle) = GroupsHandle::read(handle, &keys.mac) else { return Ok(None) };
        let Some(groups) = self.groups_of_handle(&handle).await? else { return Ok(None) };
        let now = self.now();
        // Not later than the ID token's expiry, which is what is reported when its session is ended.
        let exp = (now + LIFETIME).secs().min(handle.exp);
        let claims = GroupsToken {
            iss: self.settings.issuer.as_str(),
            aud: &handle.audience,
            exp,
            iat: now.secs(),
            groups: &groups,
        };
        let claims = crate::token::json(&claims)?;
        let signer = keys.signer(now)?;
        let threads = &self.keyring.signing_threads;
        Ok(Some(signer.sign_in_turn(threads, Some(TYPE), claims).await?))
    }

    async fn groups_of_handle(
        &self,
        handle: &GroupsHandle,
    ) -> Result<Option<Vec<String>>, IssuerError> {
        if Timestamp::from_secs(handle.exp) <= self.now() {
            return Ok(None);
        }
        let Some((_, session)) = self.live_grant(&handle.grant).await? else { return Ok(None) };
        if !handle.has_groups_scope {
            return Ok(Some(Vec::new()));
        }
        Ok(self.revalidate_and_store(session).await?.map(|session| session.identity.groups))
    }

    /// The groups that an API server receives for a token with these claims.
    async fn groups_of(
        &self,
        claims: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Option<Vec<String>>, IssuerError> {
        let source = claims.get("_claim_sources").and_then(|sources| sources.get("countersign"));
        let handle = source.and_then(|source| source.get("access_token")?.as_str());
        let Some(handle) = handle else { return Ok(None) };
        match GroupsHandle::read(&Secret::new(handle), &self.keyring.keys().mac) {
            Some(handle) => self.groups_of_handle(&handle).await,
            None => Ok(None),
        }
    }
}

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
