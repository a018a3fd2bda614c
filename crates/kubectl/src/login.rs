//! `login`: signs in once, then writes all clusters that the user may use into the kubeconfig.

use std::io::IsTerminal;

use countersign_core::Timestamp;
use serde_json::json;

use crate::cache::Cache;
use crate::cli::{LoginArguments, OutputFormat};
use crate::clusters::{self, AUDIENCE_SCOPE, Cluster};
use crate::error::Error;
use crate::id_token::IdTokenClaims;
use crate::issuer::Issuer;
use crate::kubeconfig::file::{self, Files};
use crate::kubeconfig::{self, Entry};
use crate::profile::{LoginProfile, StoredSecret};
use crate::sign_in::GrantType;
use crate::terminal::{self, Style, print_line, printable};
use crate::token_source::{Renewal, TokenSource};

/// Signs in, writes the kubeconfig and prints the next command.
pub async fn run(arguments: &LoginArguments, now: fn() -> Timestamp) -> Result<(), Error> {
    let profile = arguments.profile();
    let cache = Cache::open(
        arguments.cache.token_cache_dir.as_deref(),
        arguments.cache.token_cache_storage,
    )?;
    let options = arguments.sign_in_options();
    let source = TokenSource {
        cache: &cache,
        profile: &profile,
        client_secret: None,
        options: &options,
        may_sign_in: true,
        // The command was run by a user.
        is_person_present: true,
        is_requested_by_person: true,
        renewal: if arguments.force { Renewal::SignIn } else { Renewal::Nothing },
        now,
    };
    let tokens = source.valid_login().await?.record.tokens;
    let (Some(StoredSecret(id_token)), Some(StoredSecret(access_token))) =
        (tokens.id_token, tokens.access_token)
    else {
        return Err(Error::LoginFailed("the issuer returned no access token".to_owned()));
    };
    let claims = IdTokenClaims::decode(&id_token)?;
    if arguments.output == OutputFormat::Text {
        print_signed_in(&claims, now());
    }
    let issuer = Issuer::discover(&profile, None).await?;
    let Some(clusters) = clusters::list(&issuer, &access_token).await? else {
        return no_list(arguments, &profile);
    };
    let clusters = chosen(clusters, arguments.cluster.as_deref())?;
    let files = file::files(arguments.kubeconfig.as_deref())?;
    let flags = flags(arguments, &profile);
    let entries: Vec<_> = clusters
        .iter()
        .map(|cluster| entry(cluster, &profile, &flags, issuer.supports_token_exchange()))
        .collect();
    let current = if let [only] = clusters.as_slice() { Some(only.name.as_str()) } else { None };
    check_hidden(&files, &entries)?;
    file::edit(&files.target, |text| kubeconfig::merge(text, &entries, current)).await?;
    match arguments.output {
        OutputFormat::Text => report(&clusters, &files, current),
        OutputFormat::Json => print_line(&format!(
            "{:#}",
            json!({
                "user": claims.display_name(),
                "groups": claims.groups(),
                "expiresAt": claims.expires_at.to_string(),
                "kubeconfig": files.target,
                "currentContext": current,
                "clusters": clusters,
            })
        )),
    }
    Ok(())
}

/// # Errors
/// An entry of another file of `KUBECONFIG`, which this program did not write, would be hidden by a new one.
fn check_hidden(files: &Files, entries: &[Entry]) -> Result<(), Error> {
    for other in &files.hidden {
        let text = std::fs::read_to_string(other).unwrap_or_default();
        if let Some(name) = kubeconfig::hidden_entry(&text, entries) {
            return Err(Error::Local(format!(
                "{} has an entry {name:?} that this program did not write, and kubectl would no longer use it; \
                 rename it, or name another file with --kubeconfig",
                other.display()
            )));
        }
    }
    Ok(())
}

fn print_signed_in(claims: &IdTokenClaims, now: Timestamp) {
    let style = Style::for_stderr();
    let until = terminal::instant(claims.expires_at, now);
    let name = printable(claims.display_name());
    eprintln!("{} as {}", style.green("Signed in"), style.bold(&name));
    let groups: Vec<String> = claims.groups().into_iter().map(printable).collect();
    if !groups.is_empty() {
        eprintln!("{}", terminal::wrapped_list("  groups  ", &groups, terminal::width()));
    }
    eprintln!("  token   until {until}, then renewed automatically\n");
}

/// The issuer lists no clusters: the user is signed in, and the flags for their own kubeconfig are printed.
fn no_list(arguments: &LoginArguments, profile: &LoginProfile) -> Result<(), Error> {
    if let Some(name) = &arguments.cluster {
        return Err(Error::Local(format!(
            "{} lists no clusters, so {name:?} cannot be added",
            profile.issuer
        )));
    }
    if arguments.output == OutputFormat::Json {
        print_line(&format!("{:#}", json!({ "clusters": null })));
        return Ok(());
    }
    eprintln!("This issuer lists no clusters. For a cluster of your own kubeconfig, type:\n");
    eprintln!("  kubectl config set-credentials {} \\", profile.client_id);
    eprintln!("    --exec-api-version=client.authentication.k8s.io/v1 \\");
    eprintln!("    --exec-interactive-mode=IfAvailable --exec-command=kubectl-countersign \\");
    eprint!("    --exec-arg=get-token");
    for flag in flags(arguments, profile) {
        eprint!(" \\\n    --exec-arg={}", printable(&flag));
    }
    eprintln!();
    Ok(())
}

fn chosen(clusters: Vec<Cluster>, name: Option<&str>) -> Result<Vec<Cluster>, Error> {
    if clusters.is_empty() {
        return Err(Error::Local(
            "you are signed in, but no cluster is listed for your groups; ask your administrator"
                .to_owned(),
        ));
    }
    let Some(name) = name else { return Ok(clusters) };
    let names = clusters.iter().map(|cluster| cluster.name.as_str()).collect::<Vec<_>>().join(", ");
    match clusters.into_iter().find(|cluster| cluster.name == name) {
        Some(cluster) => Ok(vec![cluster]),
        None => Err(Error::Local(format!(
            "no cluster {name:?} is listed for your groups; there are: {names}"
        ))),
    }
}

/// The flags of `get-token` by which it finds this login.
fn flags(arguments: &LoginArguments, profile: &LoginProfile) -> Vec<String> {
    let mut flags = vec![
        format!("--oidc-issuer-url={}", profile.issuer),
        format!("--oidc-client-id={}", profile.client_id),
    ];
    let scopes = profile.scopes.iter().skip(1);
    flags.extend(scopes.map(|scope| format!("--oidc-extra-scope={scope}")));
    let files = profile.transport.certificate_authority.iter();
    flags.extend(files.map(|file| format!("--certificate-authority={}", file.display())));
    if let Some(directory) = &arguments.cache.token_cache_dir {
        let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.clone());
        flags.push(format!("--token-cache-dir={}", directory.display()));
    }
    if let Some(storage) = arguments.cache.token_cache_storage
        && let Some(value) = clap::ValueEnum::to_possible_value(&storage)
    {
        flags.push(format!("--token-cache-storage={}", value.get_name()));
    }
    if arguments.grant_type != GrantType::Auto
        && let Some(value) = clap::ValueEnum::to_possible_value(&arguments.grant_type)
    {
        flags.push(format!("--grant-type={}", value.get_name()));
    }
    if arguments.no_browser {
        flags.push("--skip-open-browser".to_owned());
    }
    if let Some(program) = &arguments.browser_command {
        flags.push(format!("--browser-command={}", program.display()));
    }
    flags
}

/// A cluster with its own client gets tokens for that client: exchanged for those of the login if the issuer supports
/// it, otherwise by a login that requests that audience.
fn entry(cluster: &Cluster, profile: &LoginProfile, flags: &[String], can_exchange: bool) -> Entry {
    let mut arguments = flags.to_vec();
    if let Some(audience) = cluster.own_audience(profile) {
        arguments.push(match can_exchange {
            true => format!("--audience={audience}"),
            false => format!("--oidc-extra-scope={AUDIENCE_SCOPE}{audience}"),
        });
    }
    Entry {
        name: cluster.name.clone(),
        server: cluster.server.clone(),
        certificate_authority_data: cluster.certificate_authority_data.clone(),
        namespace: cluster.namespace.clone(),
        get_token_arguments: arguments,
    }
}

fn report(clusters: &[Cluster], files: &Files, current: Option<&str>) {
    let style = Style::for_stderr();
    eprintln!("Clusters in {}:", files.target.display());
    let width = clusters.iter().map(|c| c.name.chars().count()).max().unwrap_or_default();
    for cluster in clusters {
        let name = format!("{:width$}", printable(&cluster.name));
        eprintln!("  {}  {}", style.bold(&name), printable(&cluster.description));
    }
    let context = clusters.first().filter(|_| current.is_none());
    let command = next_command(files, context.map(|cluster| cluster.name.as_str()));
    eprintln!("\nNow type:  {}", style.bold(&printable(&command)));
    if !is_in_path("kubectl-countersign") && std::io::stderr().is_terminal() {
        eprintln!(
            "kubectl will not find this program: put kubectl-countersign into a directory of PATH."
        );
    }
}

fn next_command(files: &Files, context: Option<&str>) -> String {
    let file = match files.is_default {
        true => String::new(),
        false => format!(" --kubeconfig {}", files.target.display()),
    };
    let context = context.map(|name| format!(" --context {name}")).unwrap_or_default();
    format!("kubectl{file}{context} get pods")
}

fn is_in_path(program: &str) -> bool {
    crate::environment_variable("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Cluster, Files, chosen, entry, flags, next_command};
    use crate::cli::{Cli, Command};
    use crate::profile::{LoginProfile, Transport};

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

    #[test]
    fn the_kubeconfig_has_the_flags_by_which_the_login_is_found() {
        let line = "login https://id.example --token-cache-dir=/x --token-cache-storage=disk";
        let line = ["kubectl-countersign"].into_iter().chain(line.split(' '));
        let Command::Login(arguments) = Cli::try_parse_from(line).unwrap().command else {
            panic!("another command")
        };
        let written = flags(&arguments, &arguments.profile());
        for flag in ["--token-cache-dir=/x", "--token-cache-storage=disk"] {
            assert!(written.iter().any(|one| one == flag), "{written:?}");
        }
    }

    #[test]
    fn the_command_to_type_next_reads_the_file_that_was_written() {
        let files =
            |is_default| Files { target: "/srv/kubeconfig".into(), hidden: vec![], is_default };
        assert_eq!(next_command(&files(true), None), "kubectl get pods");
        assert_eq!(
            next_command(&files(false), Some("prod")),
            "kubectl --kubeconfig /srv/kubeconfig --context prod get pods"
        );
    }

    #[test]
    fn a_cluster_with_a_client_of_its_own_gets_its_own_audience() {
        let issuer = "https://id.example".parse().unwrap();
        let profile = LoginProfile::new(&issuer, "kubectl", &[], Transport::default());
        let last = |name: &str, can_exchange: bool| {
            entry(&cluster(name), &profile, &[], can_exchange).get_token_arguments.pop()
        };
        assert_eq!(last("prod", true).as_deref(), Some("--audience=prod"));
        let scope = "--oidc-extra-scope=audience:server:client_id:prod";
        assert_eq!(last("prod", false).as_deref(), Some(scope));
        assert_eq!(last("kubectl", true), None);
    }
}
