//! The clusters that the user's groups allow them to see, as listed by the issuer at `/clusters`.

use countersign_core::{Secret, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cli::{OutputFormat, SelectArguments};
use crate::error::Error;
use crate::issuer::Issuer;
use crate::profile::LoginProfile;
use crate::selection::Selection;
use crate::terminal::{Style, print_line, printable};

/// The scope prefix by which Dex and Countersign issue a token for another client (`aud`).
pub const AUDIENCE_SCOPE: &str = "audience:server:client_id:";

/// One element of the list; the members are those of the JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// Address of the API server.
    pub server: String,
    #[serde(default)]
    pub certificate_authority_data: Option<String>,
    /// The client that the API server accepts tokens for (`--oidc-client-id`).
    #[serde(rename = "clientID")]
    pub client_id: String,
    #[serde(default)]
    pub namespace: Option<String>,
}

#[derive(Deserialize)]
struct ClusterList {
    clusters: Vec<Cluster>,
}

/// The list, requested with the user's access token. `None`: the issuer has no such list, as with Dex.
pub async fn list(issuer: &Issuer, access_token: &Secret) -> Result<Option<Vec<Cluster>>, Error> {
    let url = format!("{}/clusters", issuer.metadata.issuer.trim_end_matches('/'));
    match issuer.get::<ClusterList>(&url, access_token).await {
        Ok(list) => Ok(Some(list.clusters)),
        // A page or a 404 instead of JSON: another kind of issuer, or one without the section `clusters`.
        Err(Error::InvalidResponse { .. }) => Ok(None),
        Err(Error::Refused { code, .. }) if code == "not_found" => Ok(None),
        Err(error) => Err(error),
    }
}

/// Prints the list for every selected login.
///
/// # Errors
/// One issuer has no list for the user now; those of the others are printed anyway.
pub async fn run(arguments: &SelectArguments, now: fn() -> Timestamp) -> Result<(), Error> {
    let selection = Selection::of(arguments)?;
    let mut all = Vec::new();
    let mut first_error = None;
    for profile in selection.profiles() {
        match list_of(&selection, profile, now).await {
            Ok(clusters) => all.extend(clusters.into_iter().map(|cluster| (profile, cluster))),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    match (arguments.output, &first_error) {
        (OutputFormat::Text, Some(_)) if all.is_empty() => {}
        (OutputFormat::Text, _) => print_text(&all),
        (OutputFormat::Json, _) => print_json(&all),
    }
    first_error.map_or(Ok(()), Err)
}

/// The clusters of an existing login; empty if the issuer has no list.
pub async fn list_of(
    selection: &Selection,
    profile: &LoginProfile,
    now: fn() -> Timestamp,
) -> Result<Vec<Cluster>, Error> {
    let (issuer, access_token) = selection.connect(profile, now).await?;
    Ok(list(&issuer, &access_token).await?.unwrap_or_default())
}

fn print_json(all: &[(&LoginProfile, Cluster)]) {
    let clusters: Vec<_> = all
        .iter()
        .map(|(profile, cluster)| serde_json::json!({"issuer": profile.issuer, "cluster": cluster}))
        .collect();
    print_line(&format!("{:#}", serde_json::json!({ "clusters": clusters })));
}

fn print_text(all: &[(&LoginProfile, Cluster)]) {
    let style = Style::for_stdout();
    let name_width = all.iter().map(|(_, c)| c.name.chars().count()).max().unwrap_or_default();
    for (profile, cluster) in all {
        let name = format!("{:name_width$}", printable(&cluster.name));
        print_line(&format!("{}  {}", style.bold(&name), printable(&cluster.server)));
        if !cluster.description.is_empty() {
            print_line(&format!("{:name_width$}  {}", "", printable(&cluster.description)));
        }
        let command = format!("kubectl countersign login {} {}", profile.issuer, cluster.name);
        print_line(&format!("{:name_width$}  {}", "", style.dim(&printable(&command))));
    }
    if all.is_empty() {
        eprintln!("No cluster is listed for your groups.");
    }
}

impl Cluster {
    /// The cluster's client, if the API server accepts only tokens for a client of its own.
    pub fn own_audience(&self, profile: &LoginProfile) -> Option<&str> {
        (self.client_id != profile.client_id).then_some(self.client_id.as_str())
    }
}

/// A token that this cluster's API server accepts, for an existing login.
pub async fn credential(
    selection: &Selection,
    profile: &LoginProfile,
    cluster: &Cluster,
    now: fn() -> Timestamp,
) -> Result<Secret, Error> {
    let options = crate::sign_in::Options::default();
    let source = selection.source(profile, &options, now);
    let credential = match cluster.own_audience(profile) {
        Some(audience) => source.credential_for(audience).await?,
        None => source.credential(false).await?,
    };
    Ok(credential.token)
}
