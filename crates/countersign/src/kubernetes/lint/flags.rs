//! Finds the `--oidc-…` flags of kube-apiserver in a file.

use countersign_config::Mark;

use super::{Problems, check_issuer_url, check_prefix_text, check_required_azp};
use crate::kubernetes::Expected;

/// One flag with its value, as written.
struct Flag<'a> {
    mark: Mark,
    name: &'a str,
    value: &'a str,
}

pub fn lint(text: &str, expected: &Expected<'_>, found: &mut Problems) {
    let flags = flags(text);
    let get = |name: &str| flags.iter().find(|flag| flag.name == name);
    let Some(issuer) = get("--oidc-issuer-url") else {
        found.error(Mark { line: 1, column: 1 }, "--oidc-issuer-url is missing");
        return;
    };
    check_issuer_url(issuer.mark, issuer.value, expected, found);
    check_client(get("--oidc-client-id"), issuer.mark, expected, found);
    check_username(get("--oidc-username-claim"), get("--oidc-username-prefix"), issuer.mark, found);
    match (get("--oidc-groups-claim"), get("--oidc-groups-prefix")) {
        (None, _) => {
            found.warning(issuer.mark, "--oidc-groups-claim is missing: nobody has groups");
        }
        (Some(claim), None) => check_prefix_text(claim.mark, "", "groups", found),
        (Some(_), Some(prefix)) => check_prefix_text(prefix.mark, prefix.value, "groups", found),
    }
    check_algorithms(get("--oidc-signing-algs"), issuer.mark, expected, found);
    for required in flags.iter().filter(|flag| flag.name == "--oidc-required-claim") {
        if let Some(("azp", wanted)) = required.value.split_once('=') {
            check_required_azp(required.mark, wanted, expected, found);
        }
    }
    if let Some(webhook) = get("--authentication-token-webhook-config-file") {
        let reason = "a token that either accepts is accepted: beside --oidc-... flags tokens of ended sessions stay valid";
        found.warning(webhook.mark, reason);
    }
    if let Some(file) = get("--authentication-config") {
        found.error(file.mark, "--authentication-config and --oidc-... exclude each other");
    }
}

fn check_client(
    client: Option<&Flag<'_>>,
    mark: Mark,
    expected: &Expected<'_>,
    found: &mut Problems,
) {
    let wanted = &expected.cluster.client;
    match client {
        Some(client) if client.value == wanted.as_str() => {}
        Some(client) => {
            let reason = "tokens of this cluster are refused";
            found.error(client.mark, format!("--oidc-client-id is not {wanted}: {reason}"));
        }
        None => found.error(mark, format!("--oidc-client-id={wanted} is missing")),
    }
}

/// Without a prefix user names are prefixed with the issuer, unless the claim is `email`.
fn check_username(
    claim: Option<&Flag<'_>>,
    prefix: Option<&Flag<'_>>,
    mark: Mark,
    found: &mut Problems,
) {
    let is_email = claim.is_some_and(|claim| claim.value == "email");
    match prefix {
        Some(prefix) if prefix.value == "-" => check_prefix_text(prefix.mark, "", "users", found),
        Some(prefix) if !prefix.value.is_empty() => {
            check_prefix_text(prefix.mark, prefix.value, "users", found);
        }
        _ if is_email => {
            check_prefix_text(claim.map_or(mark, |claim| claim.mark), "", "users", found);
        }
        _ => {
            let reason = "names begin with the issuer and #, which RBAC rules must then name too";
            found.warning(mark, format!("--oidc-username-prefix is missing: {reason}"));
        }
    }
}

/// The flag's default is only RS256.
fn check_algorithms(
    algorithms: Option<&Flag<'_>>,
    mark: Mark,
    expected: &Expected<'_>,
    found: &mut Problems,
) {
    let Some(algorithm) = expected.algorithm else {
        if algorithms.is_none() {
            let reason = "the key in Vault decides the algorithm, and only RS256 is accepted";
            let todo = "unless it is an RSA key, add --oidc-signing-algs";
            found.warning(mark, format!("{reason}: {todo}"));
        }
        return;
    };
    let accepted = algorithms.map_or("RS256", |flag| flag.value);
    if !accepted.split(',').any(|accepted| accepted.trim() == algorithm) {
        let reason = format!(
            "tokens are signed with {algorithm}, which this API server does not accept: add --oidc-signing-algs={algorithm}"
        );
        found.error(algorithms.map_or(mark, |flag| flag.mark), reason);
    }
}

/// The flags on every line: in a manifest, a unit file or a shell script.
fn flags(text: &str) -> Vec<Flag<'_>> {
    let mut flags = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with('#') {
            continue;
        }
        for (at, _) in line.match_indices("--") {
            let before = line.get(..at).and_then(|before| before.chars().next_back());
            let Some(rest) = line.get(at..) else { continue };
            // A flag must not begin within a word.
            if before.is_some_and(|c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '[' | ',')) {
                continue;
            }
            let quote = before.filter(|c| matches!(c, '"' | '\''));
            let ends = |c: char| quote.map_or(c.is_whitespace(), |quote| c == quote);
            let word = rest.split(ends).next().unwrap_or_default();
            if let Some((name, value)) = word.split_once('=') {
                let mark = Mark { line: index + 1, column: at + 1 };
                let value = value.trim_matches(['"', '\'', '\\']);
                flags.push(Flag { mark, name, value });
            }
        }
    }
    flags
}
