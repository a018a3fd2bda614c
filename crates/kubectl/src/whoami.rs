//! The identity that an API server assigns to a token: SelfSubjectReview (`kubectl auth whoami`).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_core::Secret;
use countersign_core::text::error_chain;
use reqwest::{Certificate, Client, StatusCode};
use serde::{Deserialize, Serialize};

use crate::clusters::Cluster;

/// Maximum delay of `status` by an API server that does not respond.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The user of an API server's SelfSubjectReview.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct UserInfo {
    #[serde(default)]
    pub username: String,
    #[serde(default)]
    pub groups: Vec<String>,
}

#[derive(Deserialize)]
struct SelfSubjectReview {
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    user_info: UserInfo,
}

/// Requests a SelfSubjectReview. The error is a sentence for the user.
pub async fn whoami(cluster: &Cluster, token: &Secret) -> Result<UserInfo, String> {
    let mut builder =
        Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
    if let Some(data) = &cluster.certificate_authority_data {
        let pem =
            STANDARD.decode(data).map_err(|_| "its certificateAuthorityData is not base64")?;
        let certificates = Certificate::from_pem_bundle(&pem)
            .map_err(|_| "its certificateAuthorityData is not PEM")?;
        builder = builder.tls_certs_only(certificates);
    }
    let client = builder.build().map_err(|cause| error_chain(&cause))?;
    let server = cluster.server.trim_end_matches('/');
    if !server.starts_with("https://") {
        return Err("its address is not https, so it gets no token".to_owned());
    }
    let response = client
        .post(format!("{server}/apis/authentication.k8s.io/v1/selfsubjectreviews"))
        .bearer_auth(token.expose())
        .json(&serde_json::json!({
            "kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1",
        }))
        .send()
        .await
        .map_err(|cause| format!("cannot be reached: {}", error_chain(&cause.without_url())))?;
    match response.status() {
        status if status.is_success() => {
            let review: SelfSubjectReview =
                response.json().await.map_err(|cause| error_chain(&cause))?;
            Ok(review.status.user_info)
        }
        StatusCode::UNAUTHORIZED => Err("does not accept your token".to_owned()),
        StatusCode::NOT_FOUND => Err("is older than Kubernetes 1.28 and cannot say".to_owned()),
        status => Err(format!("the status is {status}")),
    }
}
