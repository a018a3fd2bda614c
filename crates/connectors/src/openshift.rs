//! OpenShift's OAuth server. It returns no e-mail address, so the user name is used instead, as in Dex.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use countersign_config::Section;
use countersign_core::{Connector, ConnectorId, Identity, LoginScopes, Secret, Trace};
use serde::Deserialize;
use url::Url;

use crate::oauth::{
    ApiLogin, ApiRequest, Cached, Client, ClientSecretRule, CodeFlow, Http, OAuth, Proof,
    Registration, Roots, UpstreamError, UsedRefreshTokens, User, UserApi, below, may_lead,
    null_as_default, required_groups, url_of, warn_of_http,
};

const METADATA: &str = "authorization server metadata";
const USER: &str = "user API";
/// The metadata changes only when the cluster is reinstalled.
const METADATA_LIFETIME: Duration = Duration::from_hours(1);

/// Reads the connector. `None` if the section cannot be used; every problem is recorded in it.
pub(crate) fn read(id: ConnectorId, name: String, section: Section<'_>) -> Option<Connector> {
    let openshift = OpenShift::read(section)?;
    let fingerprint = format!("openshift:{}", openshift.issuer.as_str().trim_end_matches('/'));
    Some(OAuth::connector("openshift", id, name, fingerprint, ApiLogin(openshift)))
}

struct OpenShift {
    http: Http,
    registration: Registration,
    issuer: Url,
    /// If not empty, membership in at least one is required.
    required_groups: Vec<String>,
    code_flow: Cached<CodeFlow>,
    used_refresh_tokens: UsedRefreshTokens,
}

/// RFC 8414.
#[derive(Deserialize)]
struct Metadata {
    authorization_endpoint: Url,
    token_endpoint: Url,
}

/// `user.openshift.io/v1`.
#[derive(Deserialize)]
struct Account {
    metadata: ObjectMeta,
    #[serde(default)]
    groups: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct ObjectMeta {
    name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    uid: String,
}

impl OpenShift {
    fn read(section: Section<'_>) -> Option<Self> {
        let registration = Registration::read(&section, ClientSecretRule::Required);
        let issuer = section.required_text("issuer").and_then(|_| url_of(&section, "issuer")?);
        if let Some(issuer) = &issuer {
            warn_of_http(&section, "issuer", issuer);
        }
        let roots = Roots::read_file(&section);
        let skip_verify = section.flag("insecureCA").unwrap_or(false);
        if skip_verify {
            let reason = "lets anybody on the network path sign in as anybody: use rootCA";
            section.warning("insecureCA", reason);
        }
        let roots = roots.map(|roots| roots.skip_verify_if(skip_verify));
        let required_groups = section.texts("groups");
        let http = match (roots, &registration, &issuer) {
            (Some(roots), Some(registration), Some(issuer)) => {
                Http::read(&section, roots, registration.timeout, &[issuer])
            }
            _ => None,
        };
        section.finish();
        Some(Self {
            http: http?,
            registration: registration?,
            issuer: issuer?,
            required_groups,
            code_flow: Cached::default(),
            used_refresh_tokens: UsedRefreshTokens::default(),
        })
    }

    async fn discover(&self, trace: &mut Trace) -> Result<(CodeFlow, Duration), UpstreamError> {
        let url = below(&self.issuer, ".well-known/oauth-authorization-server");
        let metadata: Metadata =
            self.http.send(ApiRequest::get(METADATA, &url), trace).await?.success()?.json()?;
        for endpoint in [&metadata.authorization_endpoint, &metadata.token_endpoint] {
            may_lead(&self.issuer, endpoint)
                .map_err(|reason| UpstreamError::NotSent { endpoint: METADATA, reason })?;
        }
        let proof = Proof::Basic(self.registration.client_secret.clone());
        let code_flow = CodeFlow {
            http: self.http.clone(),
            client: Client { id: self.registration.client_id.clone(), proof },
            registration: self.registration.clone(),
            authorize: metadata.authorization_endpoint,
            token: metadata.token_endpoint,
            used_refresh_tokens: self.used_refresh_tokens.clone(),
        };
        Ok((code_flow, METADATA_LIFETIME))
    }
}

#[async_trait]
impl UserApi for OpenShift {
    const NAME: &'static str = "OpenShift";

    async fn oauth(&self, trace: &mut Trace) -> Result<Arc<CodeFlow>, UpstreamError> {
        self.code_flow.get(self.discover(trace)).await
    }

    fn used_refresh_tokens(&self) -> &UsedRefreshTokens {
        &self.used_refresh_tokens
    }

    fn scopes(&self, _: LoginScopes) -> Vec<String> {
        vec!["user:info".to_owned()]
    }

    /// The API has the issuer's URL. Groups are part of the user object.
    async fn user(
        &self,
        access: &Secret,
        _: LoginScopes,
        trace: &mut Trace,
    ) -> Result<User, UpstreamError> {
        let url = below(&self.issuer, "apis/user.openshift.io/v1/users/~");
        let request = ApiRequest::get(USER, &url).bearer(access);
        let account: Account = self.http.send(request, trace).await?.success()?.json()?;
        let ObjectMeta { name, uid } = account.metadata;
        if uid.is_empty() {
            // For example kube:admin, which is not a user object of the cluster.
            return Err(UpstreamError::Person("the user has no uid".to_owned()));
        }
        let found = account.groups.unwrap_or_default();
        let is_member = found.iter().any(|group| self.required_groups.contains(group));
        if !self.required_groups.is_empty() && !is_member {
            // Traces the groups that were not sufficient.
            required_groups(found, &self.required_groups, trace);
            return Ok(User::NotIn(self.required_groups.clone()));
        }
        for group in &found {
            trace.included(group, "a membership");
        }
        Ok(User::Identity(Box::new(Identity {
            user_id: uid,
            username: name.clone(),
            preferred_username: name.clone(),
            email: name,
            email_verified: false,
            groups: found,
        })))
    }
}
