//! `login`: sign in once, then write every cluster that one may use into the kubeconfig.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use countersign_core::Timestamp;

use crate::cli::LoginArguments;
use crate::clusters::{self, Cluster};
use crate::error::Error;
use crate::get_token::signed_in_session;
use crate::id_token::IdTokenClaims;
use crate::kubeconfig;

/// Signs in, writes the kubeconfig and says what to type next.
pub async fn run(arguments: &LoginArguments, now: fn() -> Timestamp) -> Result<(), Error> {
    let get_token = arguments.get_token();
    let session = signed_in_session(&get_token, now).await?;
    greet(&session.claims);
    let clusters = clusters::list(&session.issuer, &session.access_token).await?;
    let clusters = chosen(clusters, arguments.cluster.as_deref())?;
    let file = kubeconfig_file(arguments.kubeconfig.as_deref())?;
    let entries: Vec<_> = clusters.iter().map(|cluster| cluster.entry(&get_token.client)).collect();
    let current = match (arguments.cluster.as_deref(), clusters.as_slice()) {
        (Some(_), [only]) | (None, [only]) => Some(only.name.as_str()),
        _ => None,
    };
    let text = read(&file)?;
    let edited = kubeconfig::merge(&text, &entries, current)?;
    if edited != text {
        write(&file, &edited)?;
    }
    report(&clusters, &file, current);
    Ok(())
}

fn greet(claims: &IdTokenClaims) {
    let name = claims.text("email").or_else(|| claims.text("name")).unwrap_or(&claims.subject);
    eprintln!("Signed in as {name}, until {} and then renewed without asking.", claims.expires_at);
    let groups: Vec<&str> = claims
        .all
        .get("groups")
        .and_then(serde_json::Value::as_array)
        .map(|groups| groups.iter().filter_map(serde_json::Value::as_str).collect())
        .unwrap_or_default();
    if !groups.is_empty() {
        eprintln!("Groups: {}", groups.join(", "));
    }
}

fn chosen(clusters: Vec<Cluster>, name: Option<&str>) -> Result<Vec<Cluster>, Error> {
    let names = clusters.iter().map(|cluster| cluster.name.as_str()).collect::<Vec<_>>().join(", ");
    if clusters.is_empty() {
        return Err(Error::Local(
            "no cluster is listed for your groups; ask your administrator".to_owned(),
        ));
    }
    let Some(name) = name else { return Ok(clusters) };
    match clusters.into_iter().find(|cluster| cluster.name == name) {
        Some(cluster) => Ok(vec![cluster]),
        None => Err(Error::Local(format!(
            "no cluster {name:?} is listed for your groups; there are: {names}"
        ))),
    }
}

fn report(clusters: &[Cluster], file: &Path, current: Option<&str>) {
    eprintln!("Written to {}:", file.display());
    for cluster in clusters {
        eprintln!("  {}  {}", cluster.name, cluster.description);
    }
    match (current, clusters.first()) {
        (Some(_), _) => eprintln!("\nNow type: kubectl get pods"),
        (None, Some(first)) => eprintln!("\nNow type: kubectl --context {} get pods", first.name),
        (None, None) => {}
    }
}

/// `--kubeconfig`, else the first file of `KUBECONFIG`, else `~/.kube/config`: the one kubectl writes to.
#[expect(clippy::disallowed_methods, reason = "KUBECONFIG and HOME are how kubectl finds its file")]
fn kubeconfig_file(option: Option<&Path>) -> Result<PathBuf, Error> {
    if let Some(file) = option {
        return Ok(file.to_owned());
    }
    if let Some(list) = std::env::var_os("KUBECONFIG")
        && let Some(first) = std::env::split_paths(&list).find(|path| !path.as_os_str().is_empty())
    {
        return Ok(first);
    }
    let home = std::env::var_os("HOME")
        .ok_or_else(|| Error::Local("HOME is not set; use --kubeconfig".to_owned()))?;
    Ok(PathBuf::from(home).join(".kube/config"))
}

fn read(file: &Path) -> Result<String, Error> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(text),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(cause) => Err(Error::Local(format!("{}: {cause}", file.display()))),
    }
}

/// Replaces the file as a whole, or what a symbolic link points to, and keeps its mode.
fn write(file: &Path, text: &str) -> Result<(), Error> {
    let local = |cause: std::io::Error| Error::Local(format!("{}: {cause}", file.display()));
    let target = match fs::canonicalize(file) {
        Ok(target) => target,
        Err(cause) if cause.kind() == ErrorKind::NotFound => file.to_owned(),
        Err(cause) => return Err(local(cause)),
    };
    if let Some(directory) = target.parent() {
        fs::create_dir_all(directory).map_err(local)?;
    }
    crate::cache::replace(&target, text.as_bytes(), fs::metadata(&target).ok().as_ref())
        .map_err(local)
}

#[cfg(test)]
mod tests {
    use super::{Cluster, chosen};

    fn cluster(name: &str) -> Cluster {
        serde_json::from_value(
            serde_json::json!({ "name": name, "server": "https://c", "clientID": name }),
        )
        .unwrap()
    }

    #[test]
    fn a_cluster_that_is_not_listed_is_an_error_that_names_the_others() {
        let error = chosen(vec![cluster("prod"), cluster("stage")], Some("test")).unwrap_err();
        assert!(error.to_string().contains("prod, stage"), "{error}");
        assert_eq!(
            chosen(vec![cluster("prod"), cluster("stage")], Some("stage")).unwrap().len(),
            1
        );
        assert!(chosen(Vec::new(), None).is_err());
    }
}
