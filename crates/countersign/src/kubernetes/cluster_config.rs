//! `countersign kubernetes config`: the settings with which an API server accepts the tokens of one cluster's client.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use super::{Expected, lint, quoted};
use crate::cli::{ClusterConfigArguments, ClusterConfigFormat};
use crate::config::Config;

const MAX_PEM_BYTES: usize = 64 * 1024;

pub fn run(config: &Config, arguments: &ClusterConfigArguments) -> Result<ExitCode, String> {
    let cluster = config.clusters.iter().find(|cluster| cluster.name == arguments.cluster);
    let Some(cluster) = cluster else {
        let names: Vec<&str> = config.clusters.iter().map(|one| one.name.as_str()).collect();
        let known = if names.is_empty() { "there are none".to_owned() } else { names.join(", ") };
        return Err(format!("--cluster: no cluster {} in {known}", arguments.cluster));
    };
    let expected = Expected::new(config, cluster);
    if let Some(file) = &arguments.lint {
        let problems = lint::lint(file, &expected)?;
        for problem in &problems {
            println!("{}", problem.line(file));
        }
        if problems.is_empty() {
            println!("{}: no problem found", file.display());
        }
        let failed = problems.iter().any(|problem| problem.is_error);
        return Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    print(&expected, arguments)?;
    Ok(ExitCode::SUCCESS)
}

fn print(expected: &Expected<'_>, arguments: &ClusterConfigArguments) -> Result<(), String> {
    if !expected.issuer.starts_with("https://") {
        eprintln!("warning: {} is not https: no API server accepts it", expected.issuer);
    }
    if expected.has_webhook() {
        eprintln!(
            "warning: the client {} has a webhook: beside it these settings would keep tokens of ended sessions \
             valid; countersign kubernetes webhook-config prints its file",
            expected.cluster.client
        );
    }
    let pem = arguments.certificate_authority.as_deref().map(read_pem).transpose()?;
    let has = |format| [ClusterConfigFormat::All, format].contains(&arguments.format);
    if has(ClusterConfigFormat::Flags) {
        print!("{}", flags(expected, arguments));
    }
    for (format, version) in
        [(ClusterConfigFormat::V1, "v1"), (ClusterConfigFormat::V1beta1, "v1beta1")]
    {
        if has(format) {
            if arguments.format == ClusterConfigFormat::All {
                println!("---");
            }
            print!("{}", configuration(expected, arguments, version, pem.as_deref()));
        }
    }
    Ok(())
}

fn read_pem(file: &Path) -> Result<String, String> {
    countersign_config::read_text(file, MAX_PEM_BYTES)
        .map_err(|reason| format!("--certificate-authority: {} {reason}", file.display()))
}

/// A YAML list for the `command` of a static pod.
fn flags(expected: &Expected<'_>, arguments: &ClusterConfigArguments) -> String {
    let mut lines = vec![
        format!("--oidc-issuer-url={}", expected.issuer),
        format!("--oidc-client-id={}", expected.cluster.client),
        format!("--oidc-username-claim={}", arguments.username_claim),
        // An empty value would select the default prefix, the issuer; `-` means no prefix.
        format!(
            "--oidc-username-prefix={}",
            if arguments.username_prefix.is_empty() { "-" } else { &arguments.username_prefix }
        ),
        "--oidc-groups-claim=groups".to_owned(),
        format!("--oidc-groups-prefix={}", arguments.groups_prefix),
    ];
    if let Some(algorithm) = expected.algorithm.filter(|algorithm| *algorithm != "RS256") {
        lines.push(format!("--oidc-signing-algs={algorithm}"));
    }
    if let Some(file) = &arguments.certificate_authority {
        lines.push(format!("--oidc-ca-file={}", file.display()));
    }
    let mut text = format!(
        "# Flags of kube-apiserver for the cluster {}: either these, or the file below with \
         --authentication-config.\n",
        expected.cluster.name
    );
    if expected.algorithm.is_none() {
        text.push_str(
            "# The key in Vault decides the algorithm. Unless it is an RSA key, add --oidc-signing-algs with ES256, \
             ES384 or ES512.\n",
        );
    }
    for line in lines {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "- {}", quoted(&line));
    }
    text
}

fn configuration(
    expected: &Expected<'_>,
    arguments: &ClusterConfigArguments,
    version: &str,
    pem: Option<&str>,
) -> String {
    let needs = if version == "v1" { "1.34" } else { "1.30" };
    let mut text = format!(
        "# For --authentication-config of kube-apiserver {needs} or newer, instead of the flags. It is read again \
         within a minute\n# of a change.\napiVersion: apiserver.config.k8s.io/{version}\n\
         kind: AuthenticationConfiguration\njwt:\n  - issuer:\n      url: {}\n      audiences: [{}]\n",
        quoted(expected.issuer),
        quoted(expected.cluster.client.as_str()),
    );
    if let Some(pem) = pem {
        let _ = writeln!(text, "      certificateAuthority: {}", quoted(pem));
    }
    let peers = expected.trusted_peers();
    if !peers.is_empty() {
        // An expression, because a token for one audience may lack `azp`. The peers are named, because
        // `kubectl countersign login` obtains the tokens of a cluster with its own client by one of them. A list of
        // JSON is one of CEL.
        let clients: Vec<&str> =
            std::iter::once(expected.cluster.client.as_str()).chain(peers).collect();
        let rule = format!("!has(claims.azp) || claims.azp in {}", serde_json::json!(clients));
        let _ = write!(
            text,
            "    claimValidationRules:\n      - expression: {}\n        message: issued to another client\n",
            quoted(&rule)
        );
    }
    let _ = write!(
        text,
        "    claimMappings:\n      username:\n        claim: {}\n        prefix: {}\n      groups:\n        \
         claim: groups\n        prefix: {}\n",
        quoted(&arguments.username_claim),
        quoted(&arguments.username_prefix),
        quoted(&arguments.groups_prefix),
    );
    let _ = write!(
        text,
        "    userValidationRules:\n      - expression: \"!user.username.startsWith('system:')\"\n        \
         message: a name of Kubernetes' own\n      \
         - expression: \"user.groups.all(group, !group.startsWith('system:'))\"\n        \
         message: a group of Kubernetes' own\n"
    );
    text
}
