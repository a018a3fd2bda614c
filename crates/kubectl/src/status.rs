//! `status`: the signed-in users with their groups, expiry, and the identity that each cluster assigns them, as a
//! SelfSubjectReview returns it (`kubectl auth whoami`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_core::text::error_chain;
use countersign_core::{Secret, Timestamp};
use reqwest::{Certificate, Client, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::cli::{OutputFormat, StatusArguments};
use crate::clusters::Cluster;
use crate::error::Error;
use crate::id_token::IdTokenClaims;
use crate::issuer::with_socks_proxy;
use crate::profile::{LoginProfile, StoredSecret};
use crate::selection::Selection;
use crate::sign_in::Options;
use crate::terminal::{Style, print_line, printable};
use crate::{clusters, terminal};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoginStatus {
    issuer: String,
    #[serde(rename = "clientID")]
    client_id: String,
    is_signed_in: bool,
    /// Why the login is no longer valid, or why the issuer is unreachable.
    error: Option<String>,
    user: Option<String>,
    groups: Vec<String>,
    expires_at: Option<String>,
    /// `None`: no login is valid.
    tokens: Option<TokenPlace>,
    clusters: Vec<ClusterStatus>,
    #[serde(skip)]
    expiry: Timestamp,
    /// `false`: the issuer could not be reached to renew a token that has expired.
    #[serde(skip)]
    is_known: bool,
}

/// Where the tokens are kept on this machine.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenPlace {
    storage: &'static str,
    /// The file, and why they are not in the keyring.
    file: Option<PathBuf>,
    reason: Option<String>,
}

#[derive(Serialize)]
struct ClusterStatus {
    name: String,
    server: String,
    user: Option<UserInfo>,
    error: Option<String>,
}

/// # Errors
/// A login is no longer valid; the status is printed anyway.
pub async fn run(arguments: &StatusArguments, now: fn() -> Timestamp) -> Result<(), Error> {
    let selection = Selection::of(&arguments.select)?;
    let mut all = Vec::new();
    let mut first_error = None;
    for profile in selection.profiles() {
        let queries_clusters = !arguments.no_whoami;
        match status_of(&selection, profile, queries_clusters, now).await {
            Ok(status) => all.push(status),
            Err(error) => {
                all.push(signed_out(profile, &error));
                first_error = first_error.or(Some(error));
            }
        }
    }
    match arguments.select.output {
        OutputFormat::Json => print_line(&format!("{:#}", serde_json::json!({ "logins": all }))),
        OutputFormat::Text => {
            for status in &all {
                let of_issuer = all.iter().filter(|other| other.issuer == status.issuer);
                print(status, of_issuer.count() > 1, now());
            }
        }
    }
    first_error.map_or(Ok(()), Err)
}

async fn status_of(
    selection: &Selection,
    profile: &LoginProfile,
    queries_clusters: bool,
    now: fn() -> Timestamp,
) -> Result<LoginStatus, Error> {
    let options = Options::default();
    let login = selection.source(profile, &options, now).valid_login().await?;
    let Some(StoredSecret(id_token)) = &login.record.tokens.id_token else {
        return Err(Error::LoginFailed("no ID token is cached".to_owned()));
    };
    let claims = IdTokenClaims::decode(id_token)?;
    let tokens = match login.record.is_in_keyring {
        true => TokenPlace { storage: "keyring", file: None, reason: None },
        false => TokenPlace {
            storage: "disk",
            file: Some(login.file().to_owned()),
            reason: login.record.disk_reason.clone(),
        },
    };
    // The lock is needed again to obtain tokens for the clusters.
    drop(login);
    let mut status = LoginStatus {
        issuer: profile.issuer.clone(),
        client_id: profile.client_id.clone(),
        is_signed_in: true,
        error: None,
        user: Some(claims.display_name().to_owned()),
        groups: claims.groups().into_iter().map(str::to_owned).collect(),
        expires_at: Some(claims.expires_at.to_string()),
        tokens: Some(tokens),
        clusters: Vec::new(),
        expiry: claims.expires_at,
        is_known: true,
    };
    // The tokens are valid also while the issuer cannot be reached.
    match clusters::list_of(selection, profile, now).await {
        Ok(clusters) => {
            status.clusters =
                query_clusters(selection, profile, clusters, queries_clusters, now).await;
        }
        Err(error) => status.error = Some(error.to_string()),
    }
    Ok(status)
}

/// Queries all clusters concurrently, so that one that does not respond does not delay the others.
async fn query_clusters(
    selection: &Selection,
    profile: &LoginProfile,
    clusters: Vec<Cluster>,
    queries_clusters: bool,
    now: fn() -> Timestamp,
) -> Vec<ClusterStatus> {
    let mut tasks = JoinSet::new();
    for (index, cluster) in clusters.into_iter().enumerate() {
        let token = match queries_clusters {
            true => Some(clusters::credential(selection, profile, &cluster, now).await),
            false => None,
        };
        tasks.spawn(async move {
            let result = match token {
                None => None,
                Some(Ok(token)) => Some(whoami(&cluster, &token).await),
                Some(Err(error)) => Some(Err(format!("no token for it: {error}"))),
            };
            let (user, error) = match result {
                None => (None, None),
                Some(Ok(user)) => (Some(user), None),
                Some(Err(error)) => (None, Some(error)),
            };
            (index, ClusterStatus { name: cluster.name, server: cluster.server, user, error })
        });
    }
    let mut statuses = tasks.join_all().await;
    statuses.sort_by_key(|(index, _)| *index);
    statuses.into_iter().map(|(_, status)| status).collect()
}

fn signed_out(profile: &LoginProfile, error: &Error) -> LoginStatus {
    LoginStatus {
        issuer: profile.issuer.clone(),
        client_id: profile.client_id.clone(),
        is_signed_in: false,
        error: Some(error.to_string()),
        user: None,
        groups: Vec::new(),
        expires_at: None,
        tokens: None,
        clusters: Vec::new(),
        expiry: Timestamp::default(),
        is_known: !error.is_temporary(),
    }
}

/// `names_client`: the issuer alone does not say which login this is.
fn print(status: &LoginStatus, names_client: bool, now: Timestamp) {
    let (style, width) = (Style::for_stdout(), terminal::width());
    let issuer = style.bold(&printable(&status.issuer));
    match names_client {
        true => print_line(&format!("{issuer}  client {}", printable(&status.client_id))),
        false => print_line(&issuer),
    }
    let Some(user) = &status.user else {
        let state = if status.is_known { "not signed in" } else { "the token has expired" };
        print_line(&format!("  {}", style.red(state)));
        return;
    };
    print_line(&format!("  signed in as  {}", style.green(&printable(user))));
    let groups: Vec<String> = status.groups.iter().map(|group| printable(group)).collect();
    if !groups.is_empty() {
        print_line(&terminal::wrapped_list("  groups        ", &groups, width));
    }
    let until = terminal::instant(status.expiry, now);
    print_line(&format!("  token         until {until}, then renewed automatically"));
    if let Some(tokens) = &status.tokens {
        print_place(tokens);
    }
    for cluster in &status.clusters {
        print_line(&format!(
            "  cluster       {}  {}",
            style.bold(&printable(&cluster.name)),
            printable(&cluster.server)
        ));
        if let Some(user) = &cluster.user {
            print_line(&format!("                knows you as {}", printable(&user.username)));
            let groups: Vec<String> = user.groups.iter().map(|group| printable(group)).collect();
            print_line(&terminal::wrapped_list("                groups ", &groups, width));
        }
        if let Some(error) = &cluster.error {
            for line in terminal::indented(16, &printable(error)) {
                print_line(&style.red(&line));
            }
        }
    }
    if let Some(error) = &status.error {
        for line in terminal::indented(2, &printable(error)) {
            print_line(&style.red(&line));
        }
    }
    print_line("");
}

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
    let builder = Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
    let mut builder = with_socks_proxy(builder).map_err(|error| error.to_string())?;
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

/// `  kept          in a file of DIRECTORY: no keyring was found (no session bus)`
fn print_place(tokens: &TokenPlace) {
    let directory = tokens.file.as_deref().and_then(Path::parent);
    let reason = tokens.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let place = match directory {
        None => "in the system's keyring".to_owned(),
        Some(directory) => format!("in a file of {}{reason}", directory.display()),
    };
    let lines = terminal::indented(16, &printable(&place));
    print_line(&format!("  kept          {}", lines.join("\n").trim_start()));
}
