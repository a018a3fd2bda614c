//! `/clusters`: the clusters that a user's groups allow them to see, as JSON for an access token, and as a page with
//! commands and kubeconfigs for the signed-in user.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use countersign_core::{KubernetesCluster, Session};
use countersign_issuer::IssuerError;
use countersign_issuer::kubernetes::ListedCluster;
use serde::Serialize;

use crate::account::{own_session, sign_in_first, user};
use crate::app::App;
use crate::page_error::PageError;
use crate::pages::{ClusterCard, Clusters, Page, PageErrorKind};
use crate::request_context::RequestContext;
use crate::response::{PagePolicy, json, page};
use crate::userinfo::{bearer_error, bearer_token};

#[derive(Serialize)]
struct ClusterList<'a> {
    clusters: Vec<ListedCluster<'a>>,
}

pub async fn get(
    State(app): State<App>,
    context: RequestContext,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    if let Some(token) = bearer_token(&headers) {
        return Ok(match app.issuer.clusters_of_token(&token).await {
            Ok(Some(clusters)) => {
                let clusters = clusters.into_iter().map(ListedCluster::from).collect();
                json(StatusCode::OK, &ClusterList { clusters })
            }
            Ok(None) | Err(IssuerError::Unstorable(_)) => {
                bearer_error(StatusCode::UNAUTHORIZED, Some("invalid_token"))
            }
            Err(error) => failed(&error),
        });
    }
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.trim_start().starts_with("application/json")) {
        return Ok(bearer_error(StatusCode::UNAUTHORIZED, None));
    }
    list(&app, &context).await
}

fn failed(error: &IssuerError) -> Response {
    tracing::error!(cause = %error, "the list of clusters could not be returned");
    let status = match error {
        IssuerError::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut response = bearer_error(status, None);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    }
    response
}

async fn list(app: &App, context: &RequestContext) -> Result<Response, PageError> {
    let Some(session) = own_session(app, context).await? else {
        return Ok(sign_in_first(app, "/clusters", false));
    };
    let issuer = app.issuer.settings.issuer.as_str();
    let clusters = app.issuer.clusters_of(&session);
    let card = |cluster: &&KubernetesCluster| ClusterCard {
        name: cluster.name.as_str().into(),
        description: (!cluster.description.is_empty()).then(|| cluster.description.as_str().into()),
        server: cluster.server.as_str().into(),
        login: format!("kubectl countersign login {issuer} {}", cluster.name),
        kubeconfig: app.path(&format!("/clusters/{}/kubeconfig", cluster.name)),
    };
    let view = Clusters {
        layout: &app.layout,
        user: user(app, &session),
        cards: clusters.iter().map(card).collect(),
        login: format!("kubectl countersign login {issuer}"),
        all: (clusters.len() > 1).then(|| app.path("/clusters/kubeconfig")),
    };
    Ok(page(app, 200, PagePolicy::Standalone, view.render()))
}

/// Downloads a kubeconfig with all clusters of the list.
pub async fn all_kubeconfigs(
    State(app): State<App>,
    context: RequestContext,
) -> Result<Response, PageError> {
    download(&app, &context, None).await
}

/// Downloads a kubeconfig with one cluster.
pub async fn kubeconfig(
    State(app): State<App>,
    context: RequestContext,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    download(&app, &context, Some(&name)).await
}

async fn download(
    app: &App,
    context: &RequestContext,
    name: Option<&str>,
) -> Result<Response, PageError> {
    let Some(session) = own_session(app, context).await? else {
        return Ok(sign_in_first(app, "/clusters", false));
    };
    let clusters = chosen(app, &session, name);
    if clusters.is_empty() {
        return Err(PageErrorKind::NotFound.into());
    }
    let file = name.map_or("clusters", |_| clusters.first().map_or("", |one| one.name.as_str()));
    let mut response = Response::new(app.issuer.kubeconfig(&clusters).into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/yaml"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A configured name contains only characters that need no quoting.
    let disposition = format!("attachment; filename=\"{file}.kubeconfig\"");
    if let Ok(value) = HeaderValue::try_from(disposition) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// The requested clusters among those the user may see; empty for one they may not see.
fn chosen<'a>(app: &'a App, session: &Session, name: Option<&str>) -> Vec<&'a KubernetesCluster> {
    let mut clusters = app.issuer.clusters_of(session);
    clusters.retain(|cluster| name.is_none_or(|name| cluster.name == name));
    clusters
}
