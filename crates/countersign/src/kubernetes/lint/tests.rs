use countersign_core::kubernetes::{GroupClaims, Kubernetes};
use countersign_core::{Client, ClientId, KubernetesCluster};

use super::lint_text;
use crate::kubernetes::Expected;

fn cluster(name: &str) -> KubernetesCluster {
    KubernetesCluster {
        name: name.to_owned(),
        description: String::new(),
        server: "https://api.example.com:6443".to_owned(),
        certificate_authority: None,
        client: ClientId::new(name),
        groups: Vec::new(),
        namespace: None,
    }
}

/// Every problem as one line, without its column.
fn found(text: &str, client: &Client, algorithm: &'static str) -> Vec<String> {
    found_with_algorithm(text, client, Some(algorithm))
}

fn found_with_algorithm(
    text: &str,
    client: &Client,
    algorithm: Option<&'static str>,
) -> Vec<String> {
    let (production, staging) = (cluster("production"), cluster("staging"));
    let expected = Expected {
        issuer: "https://login.example.com/dex",
        cluster: &production,
        client: Some(client),
        other_clusters: vec![&staging],
        algorithm,
    };
    let problems = lint_text(text, &expected).unwrap();
    let line = |problem: super::LintProblem| {
        let kind = if problem.is_error { "error" } else { "warning" };
        format!("{} {kind}: {}", problem.mark.line, problem.message)
    };
    problems.into_iter().map(line).collect()
}

fn client() -> Client {
    Client { id: ClientId::new("production"), public: true, ..Client::default() }
}

fn configuration(issuer: &str, rest: &str) -> String {
    format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n- issuer:\n    \
         {issuer}\n  {rest}\n"
    )
}

const ISSUER: &str = "url: https://login.example.com/dex\n    audiences: [production]";
const MAPPINGS: &str = "claimMappings: {username: {claim: email, prefix: 'oidc:'}, groups: {claim: groups, \
                        prefix: 'oidc:'}}";

#[test]
fn a_right_configuration_has_no_problem() {
    assert_eq!(found(&configuration(ISSUER, MAPPINGS), &client(), "RS256"), [""; 0]);
    assert_eq!(
        found(&configuration(ISSUER, MAPPINGS), &client(), "ES256"),
        [""; 0],
        "a file takes all"
    );
    let flags = "- --oidc-issuer-url=https://login.example.com/dex\n- --oidc-client-id=production\n\
                 - --oidc-username-claim=email\n- '--oidc-username-prefix=oidc:'\n\
                 - --oidc-groups-claim=groups\n- \"--oidc-groups-prefix=oidc:\"\n";
    assert_eq!(found(flags, &client(), "RS256"), [""; 0]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn the_traps_of_a_configuration_are_found() {
    let by_claim = |rule: &str| format!("claimValidationRules:\n  - {rule}\n  {MAPPINGS}");
    for (issuer, rest, expected) in [
        (
            "url: https://login.example.com/dex/\n    audiences: [production]",
            MAPPINGS,
            "5 error: the issuer is https://login.example.com/dex, not https://login.example.com/dex/",
        ),
        (
            "url: https://other.example.com\n    audiences: [production]",
            MAPPINGS,
            "1 error: no entry of jwt has the issuer url",
        ),
        (
            "url: https://login.example.com/dex\n    audiences: [other]",
            MAPPINGS,
            "6 error: audiences does not name production",
        ),
        (
            "url: https://login.example.com/dex\n    audiences: [production, staging]\n    audienceMatchPolicy: MatchAny",
            MAPPINGS,
            "6 error: audiences names staging: tokens for the cluster staging work here",
        ),
        (
            "url: https://login.example.com/dex\n    audiences: [production, dashboard]",
            MAPPINGS,
            "6 error: several audiences need audienceMatchPolicy: MatchAny",
        ),
        (
            ISSUER,
            &by_claim("{claim: azp, requiredValue: production}"),
            "8 error: requiring azp refuses everybody",
        ),
        (
            ISSUER,
            &by_claim("expression: claims.azp == 'production'"),
            "8 error: a token for one audience has no azp, and the expression then fails",
        ),
        (
            ISSUER,
            &by_claim("expression: has(claims.azp) && claims.azp == 'production'"),
            "8 error: a token for one audience has no azp, and the expression refuses it",
        ),
        (
            ISSUER,
            "claimMappings: {username: {claim: email}, groups: {claim: groups, prefix: ''}}",
            "7 error: username.prefix is missing",
        ),
        (
            ISSUER,
            "claimMappings: {username: {claim: email, prefix: ''}, groups: {claim: groups, prefix: 'oidc:'}}",
            "7 warning: without a prefix one of your username",
        ),
        (
            ISSUER,
            "claimMappings: {username: {expression: claims.email}, groups: {claim: groups, prefix: 'oidc:'}}",
            "7 error: an expression with claims.email needs claims.email_verified",
        ),
        (
            ISSUER,
            "claimMappings: {username: {claim: email, prefix: 'system:'}, groups: {claim: groups, prefix: 'oidc:'}}",
            "7 error: a prefix that begins with system:",
        ),
        (
            ISSUER,
            "claimMappings: {username: {claim: email, prefix: 'oidc:'}}",
            "7 warning: claimMappings.groups is missing",
        ),
    ] {
        let problems = found(&configuration(issuer, rest), &client(), "RS256");
        assert!(
            problems.iter().any(|line| line.starts_with(expected)),
            "{expected}: {problems:#?}"
        );
    }
    let guarded = by_claim("expression: \"!has(claims.azp) || claims.azp == 'production'\"");
    assert_eq!(found(&configuration(ISSUER, &guarded), &client(), "RS256"), [""; 0]);
}

/// The expected settings depend on the client in our own file.
#[test]
fn the_clients_own_configuration_counts() {
    let kubernetes = Kubernetes { groups: GroupClaims::Distributed, webhook: None };
    let distributed = Client { kubernetes: Some(kubernetes), ..client() };
    let azp = format!(
        "claimValidationRules:\n  - {{claim: azp, requiredValue: production}}\n  {MAPPINGS}"
    );
    assert_eq!(found(&configuration(ISSUER, &azp), &distributed, "RS256"), [""; 0]);
    let expression = "claimMappings: {username: {claim: email, prefix: 'oidc:'}, groups: {expression: claims.groups}}";
    let problems = found(&configuration(ISSUER, expression), &distributed, "RS256");
    assert!(problems.iter().any(|line| line.contains("no expression requests")), "{problems:?}");
    let trusting = Client { trusted_peers: vec![ClientId::new("dashboard")], ..client() };
    let problems = found(&configuration(ISSUER, MAPPINGS), &trusting, "RS256");
    assert!(problems.iter().any(|line| line.contains("trustedPeers")), "{problems:?}");
}

/// `kubectl countersign login` obtains a cluster's tokens by a client that the cluster's client trusts.
#[test]
fn rules_that_refuse_the_tokens_of_trusted_peers_are_found() {
    let trusting = Client { trusted_peers: vec![ClientId::new("kubectl")], ..client() };
    let kubernetes = Kubernetes { groups: GroupClaims::Distributed, webhook: None };
    let with_block = Client { kubernetes: Some(kubernetes), ..trusting.clone() };
    let refused = "8 warning: tokens that trustedPeers obtain (kubectl)";
    let own = "expression: \"!has(claims.azp) || claims.azp == 'production'\"";
    let all = "expression: \"!has(claims.azp) || claims.azp in ['production', 'kubectl']\"";
    let similar = "expression: \"!has(claims.azp) || claims.azp in ['production', 'kubectl-ci']\"";
    let required = |name: &str| format!("{{claim: azp, requiredValue: {name}}}");
    for (rule, client, expected) in [
        (own, &trusting, Some(refused)),
        (similar, &trusting, Some(refused)),
        (all, &trusting, None),
        (&required("kubectl"), &trusting, None),
        (&required("production"), &trusting, Some("8 error: requiring azp refuses everybody")),
        (&required("production"), &with_block, Some(refused)),
        (&required("kubectl"), &with_block, None),
    ] {
        let rest = format!("claimValidationRules:\n  - {rule}\n  {MAPPINGS}");
        let problems = found(&configuration(ISSUER, &rest), client, "RS256");
        let is_as_expected = match expected {
            Some(expected) => problems.iter().any(|line| line.starts_with(expected)),
            None => problems.is_empty(),
        };
        assert!(is_as_expected, "{rule}: {problems:?}");
    }
}

#[test]
fn the_traps_of_plain_flags_are_found() {
    let flags = "    command:\n    - kube-apiserver\n    - --oidc-issuer-url=https://login.example.com/dex\n    \
                 - --oidc-client-id=staging\n    - --oidc-username-claim=email\n    \
                 - --oidc-groups-claim=groups\n    - --oidc-required-claim=azp=production\n    \
                 - --authentication-token-webhook-config-file=/x\n";
    let problems = found(flags, &client(), "ES256");
    for expected in [
        "3 error: tokens are signed with ES256",
        "4 error: --oidc-client-id is not production",
        "5 warning: without a prefix one of your users",
        "6 warning: without a prefix one of your groups",
        "7 error: requiring azp refuses everybody",
        "8 warning: a token that either accepts is accepted",
    ] {
        assert!(
            problems.iter().any(|line| line.starts_with(expected)),
            "{expected}: {problems:#?}"
        );
    }
    assert!(lint_text_of("nothing").is_err());
}

/// Claims of other providers, in both formats.
#[test]
fn claims_that_tokens_do_not_have_are_found() {
    let mappings = "claimMappings: {username: {claim: upn, prefix: 'oidc:'}, groups: {claim: roles, prefix: 'oidc:'}}";
    let flags = "- --oidc-issuer-url=https://login.example.com/dex\n- --oidc-client-id=production\n\
                 - --oidc-username-claim=upn\n- '--oidc-username-prefix=oidc:'\n\
                 - --oidc-groups-claim=roles\n- \"--oidc-groups-prefix=oidc:\"\n";
    for text in [configuration(ISSUER, mappings), flags.to_owned()] {
        let problems = found(&text, &client(), "RS256");
        assert_eq!(problems.len(), 2, "{problems:?}");
        for expected in ["error: tokens have no claim upn", "warning: tokens have no claim roles"] {
            assert!(
                problems.iter().any(|line| line.contains(expected)),
                "{expected}: {problems:?}"
            );
        }
    }
}

/// `signer.type: vault`: the algorithm is that of the key.
#[test]
fn the_algorithm_of_a_key_in_vault_is_not_assumed() {
    let flags = "- --oidc-issuer-url=https://login.example.com/dex\n- --oidc-client-id=production\n\
                 - --oidc-username-claim=email\n- '--oidc-username-prefix=oidc:'\n\
                 - --oidc-groups-claim=groups\n- \"--oidc-groups-prefix=oidc:\"\n";
    let problems = found_with_algorithm(flags, &client(), None);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("1 warning: the key in Vault"), "{problems:?}");
    let named = format!("{flags}- --oidc-signing-algs=ES256\n");
    assert_eq!(found_with_algorithm(&named, &client(), None), [""; 0]);
}

fn lint_text_of(text: &str) -> Result<usize, String> {
    let production = cluster("production");
    let expected = Expected {
        issuer: "https://login.example.com/dex",
        cluster: &production,
        client: None,
        other_clusters: Vec::new(),
        algorithm: Some("RS256"),
    };
    lint_text(text, &expected).map(|problems| problems.len())
}
