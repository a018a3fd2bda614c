//! `countersign kubernetes config --lint`: finds settings of an API server that would refuse all users, or admit more
//! than intended.
//!
//! Reads an AuthenticationConfiguration, or the `--oidc-…` flags in any other file, such as a static pod's manifest,
//! and compares them with the cluster's client. The API server itself validates the rest when it starts.

mod flags;

use std::path::Path;

use countersign_config::{Mark, Node, Value, parse_yaml, read_text};

use super::Expected;

const MAX_FILE_BYTES: usize = 1024 * 1024;

/// A setting that must be changed (`is_error`), or that the administrator should know.
#[derive(Debug, PartialEq, Eq)]
pub struct LintProblem {
    pub mark: Mark,
    pub is_error: bool,
    pub message: String,
}

impl LintProblem {
    pub fn line(&self, file: &Path) -> String {
        let kind = if self.is_error { "error" } else { "warning" };
        let Mark { line, column } = self.mark;
        format!("{}:{line}:{column}: {kind}: {}", file.display(), self.message)
    }
}

/// `Err`: the file cannot be read, or contains neither format.
pub fn lint(file: &Path, expected: &Expected<'_>) -> Result<Vec<LintProblem>, String> {
    let text = read_text(file, MAX_FILE_BYTES)
        .map_err(|reason| format!("--lint: {} {reason}", file.display()))?;
    lint_text(&text, expected).map_err(|reason| format!("--lint: {}: {reason}", file.display()))
}

pub fn lint_text(text: &str, expected: &Expected<'_>) -> Result<Vec<LintProblem>, String> {
    let mut found = Problems::default();
    if text.contains("AuthenticationConfiguration") {
        let root = parse_yaml(text).map_err(|error| format!("is not YAML: {error:?}"))?;
        configuration(&root, expected, &mut found);
    } else if text.contains("--oidc-") {
        flags::lint(text, expected, &mut found);
    } else {
        return Err("holds neither an AuthenticationConfiguration nor --oidc-... flags".to_owned());
    }
    found.0.sort_by_key(|problem| (problem.mark, !problem.is_error));
    Ok(found.0)
}

#[derive(Default)]
struct Problems(Vec<LintProblem>);

impl Problems {
    fn error(&mut self, mark: Mark, message: impl Into<String>) {
        self.0.push(LintProblem { mark, is_error: true, message: message.into() });
    }

    fn warning(&mut self, mark: Mark, message: impl Into<String>) {
        self.0.push(LintProblem { mark, is_error: false, message: message.into() });
    }
}

fn get<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|(name, _)| name.text == key).map(|(_, node)| node)
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

fn configuration(root: &Node, expected: &Expected<'_>, found: &mut Problems) {
    match get(root, "apiVersion").and_then(text) {
        Some("apiserver.config.k8s.io/v1" | "apiserver.config.k8s.io/v1beta1") => {}
        Some("apiserver.config.k8s.io/v1alpha1") => found.warning(
            root.mark,
            "v1alpha1 is gone from newer API servers: use v1beta1, or v1 from 1.34 on",
        ),
        _ => found.error(root.mark, "apiVersion must be apiserver.config.k8s.io/v1 or v1beta1"),
    }
    let ours = |entry: &&Node| {
        let url = get(entry, "issuer").and_then(|issuer| get(issuer, "url")).and_then(text);
        url.is_some_and(|url| same_but_slash(url, expected.issuer))
    };
    let entries = items(get(root, "jwt"));
    let Some(entry) = entries.iter().find(ours) else {
        found.error(root.mark, format!("no entry of jwt has the issuer url {}", expected.issuer));
        return;
    };
    if let Some(issuer) = get(entry, "issuer") {
        check_issuer(issuer, expected, found);
    }
    let whole = whole_text(entry);
    for rule in items(get(entry, "claimValidationRules")) {
        check_rule(rule, expected, found);
    }
    if let Some(mappings) = get(entry, "claimMappings") {
        check_username(mappings, &whole, found);
        check_groups(mappings, expected, found);
    } else {
        found.error(entry.mark, "claimMappings is missing: nobody would have a name");
    }
    check_peers(entry, &whole, expected, found);
}

fn same_but_slash(a: &str, b: &str) -> bool {
    a.trim_end_matches('/') == b.trim_end_matches('/')
}

fn check_issuer(issuer: &Node, expected: &Expected<'_>, found: &mut Problems) {
    if let Some(url) = get(issuer, "url") {
        check_issuer_url(url.mark, text(url).unwrap_or_default(), expected, found);
    }
    let client = expected.cluster.client.as_str();
    let audiences = get(issuer, "audiences");
    let mark = audiences.map_or(issuer.mark, |node| node.mark);
    let names: Vec<&str> = items(audiences).iter().filter_map(text).collect();
    if !names.contains(&client) {
        let reason = "the client of this cluster: its tokens are refused";
        found.error(mark, format!("audiences does not name {client}, {reason}"));
    }
    for name in names.iter().filter(|name| **name != client) {
        match expected.other_clusters.iter().find(|other| other.client.as_str() == *name) {
            Some(other) => found.error(
                mark,
                format!("audiences names {name}: tokens for the cluster {} work here", other.name),
            ),
            None => {
                found
                    .warning(mark, format!("audiences also names {name}: tokens for it work here"));
            }
        }
    }
    let any = get(issuer, "audienceMatchPolicy").and_then(text) == Some("MatchAny");
    if names.len() > 1 && !any {
        found.error(mark, "several audiences need audienceMatchPolicy: MatchAny");
    }
}

fn check_issuer_url(mark: Mark, url: &str, expected: &Expected<'_>, found: &mut Problems) {
    if url != expected.issuer {
        let reason = "API servers compare byte by byte, the slash at the end too";
        found.error(mark, format!("the issuer is {}, not {url}: {reason}", expected.issuer));
    }
    if !url.starts_with("https://") {
        found.error(mark, "the issuer must be https");
    }
}

fn check_rule(rule: &Node, expected: &Expected<'_>, found: &mut Problems) {
    if get(rule, "claim").and_then(text) == Some("azp") {
        let wanted = get(rule, "requiredValue").and_then(text).unwrap_or_default();
        check_required_azp(rule.mark, wanted, expected, found);
    }
    let expression = get(rule, "expression").and_then(text).unwrap_or_default();
    if !expression.contains("claims.azp") && !expression.contains("claims.?azp") {
        return;
    }
    let is_guarded = expression.contains("has(claims.azp)") || expression.contains("claims.?azp");
    if (!is_guarded || requires_azp(expression)) && !expected.always_has_azp() {
        let effect = if is_guarded { "refuses it" } else { "then fails" };
        let reason = "a token for one audience has no azp, and the expression";
        let todo = "write !has(claims.azp) || claims.azp == ...";
        found.error(rule.mark, format!("{reason} {effect}: {todo}"));
    }
    let is_named = |peer: &str, quote| expression.contains(&format!("{quote}{peer}{quote}"));
    let unnamed = |peer: &&str| !is_named(peer, '\'') && !is_named(peer, '"');
    let refused: Vec<&str> = expected.trusted_peers().into_iter().filter(unnamed).collect();
    warn_of_refused_peers(rule.mark, &refused, found);
}

/// Whether a token without `azp` is refused by `has(claims.azp) && ...`, as far as the text shows.
fn requires_azp(expression: &str) -> bool {
    let has_alternative = expression.contains("||") || expression.contains('?');
    !has_alternative && !expression.contains("!has(claims.azp)")
}

/// `kubectl countersign login` obtains the tokens of a cluster with its own client by a trusted peer.
fn warn_of_refused_peers(mark: Mark, refused: &[&str], found: &mut Problems) {
    if !refused.is_empty() {
        let reason = "kubectl countersign with such a client is refused";
        let names = refused.join(", ");
        found.warning(mark, format!("tokens that trustedPeers obtain ({names}): {reason}"));
    }
}

fn check_required_azp(mark: Mark, wanted: &str, expected: &Expected<'_>, found: &mut Problems) {
    let peers = expected.trusted_peers();
    if peers.contains(&wanted) {
        return;
    }
    if !expected.always_has_azp() {
        let reason = "a token for one audience has no azp (OpenID Connect Core 2)";
        let todo = "give the client a kubernetes block, or use an expression with has(claims.azp)";
        found.error(mark, format!("requiring azp refuses everybody: {reason}; {todo}"));
    } else if wanted != expected.cluster.client.as_str() {
        let client = &expected.cluster.client;
        found.error(mark, format!("azp is the requesting client, {client}, not {wanted}"));
    } else {
        warn_of_refused_peers(mark, &peers, found);
    }
}

/// Claims of our ID tokens that are a text.
const TEXTS: [&str; 8] = ["sub", "email", "preferred_username", "name", "sid", "jti", "iss", "azp"];

fn check_username_claim(mark: Mark, claim: &str, found: &mut Problems) {
    if !TEXTS.contains(&claim) {
        let expected = "expected sub, email, preferred_username or name";
        found
            .error(mark, format!("tokens have no claim {claim}: everybody is refused, {expected}"));
    }
}

fn check_groups_claim(mark: Mark, claim: &str, found: &mut Problems) {
    if claim != "groups" && !TEXTS.contains(&claim) {
        found.warning(mark, format!("tokens have no claim {claim}: nobody has groups"));
    }
}

fn check_username(mappings: &Node, whole: &str, found: &mut Problems) {
    let Some(username) = get(mappings, "username") else {
        found.error(mappings.mark, "claimMappings.username is missing");
        return;
    };
    check_prefix(username, "username", found);
    if let Some(claim) = get(username, "claim") {
        check_username_claim(claim.mark, text(claim).unwrap_or_default(), found);
    }
    let expression = get(username, "expression").and_then(text).unwrap_or_default();
    if expression.contains("claims.email") && !whole.contains("email_verified") {
        let reason = "an expression with claims.email needs claims.email_verified somewhere";
        let todo = "add claims.?email_verified.orValue(true) == true to claimValidationRules";
        found.error(username.mark, format!("{reason}: {todo}"));
    }
}

fn check_groups(mappings: &Node, expected: &Expected<'_>, found: &mut Problems) {
    let Some(groups) = get(mappings, "groups") else {
        found.warning(mappings.mark, "claimMappings.groups is missing: nobody has groups");
        return;
    };
    check_prefix(groups, "groups", found);
    if let Some(claim) = get(groups, "claim") {
        check_groups_claim(claim.mark, text(claim).unwrap_or_default(), found);
    }
    let kubernetes = expected.client.and_then(|client| client.kubernetes.as_ref());
    let distributed = kubernetes.is_some_and(|kubernetes| {
        kubernetes.groups == countersign_core::kubernetes::GroupClaims::Distributed
    });
    if distributed && get(groups, "expression").is_some() {
        let reason = "groups are distributed, and no expression requests them";
        found.error(groups.mark, format!("{reason}: use claim: groups"));
    }
}

/// `prefix` is required together with `claim`, and may be empty.
fn check_prefix(mapping: &Node, what: &str, found: &mut Problems) {
    if get(mapping, "claim").is_none() {
        return;
    }
    match get(mapping, "prefix") {
        None => {
            found.error(mapping.mark, format!("{what}.prefix is missing, and required with claim"));
        }
        Some(prefix) => {
            check_prefix_text(prefix.mark, text(prefix).unwrap_or_default(), what, found);
        }
    }
}

fn check_prefix_text(mark: Mark, prefix: &str, what: &str, found: &mut Problems) {
    if prefix.is_empty() {
        let reason = "may then be called like one of the cluster's own, such as system:masters";
        found.warning(mark, format!("without a prefix one of your {what} {reason}"));
    } else if prefix.starts_with("system:") {
        found.error(mark, "a prefix that begins with system: is reserved by Kubernetes");
    }
}

fn check_peers(entry: &Node, whole: &str, expected: &Expected<'_>, found: &mut Problems) {
    if !expected.trusted_peers().is_empty() && !whole.contains("azp") {
        let reason = "its trustedPeers can obtain tokens for this cluster; without a rule about azp it accepts them";
        found.warning(entry.mark, format!("{}: {reason}", expected.cluster.client));
    }
}

/// All text of an entry, for finding a claim anywhere in it.
fn whole_text(node: &Node) -> String {
    match &node.value {
        Value::Null => String::new(),
        Value::Scalar { text, .. } => format!("{text}\n"),
        Value::List(items) => items.iter().map(whole_text).collect(),
        Value::Map(entries) => entries.iter().map(|(_, node)| whole_text(node)).collect(),
    }
}

#[cfg(test)]
mod tests;
