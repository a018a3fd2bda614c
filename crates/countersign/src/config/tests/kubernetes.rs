//! `staticClients[].kubernetes`.

use countersign_core::kubernetes::GroupClaims;

use super::{config, problems};

/// One public client, with this `kubernetes` block in one line.
fn client(kubernetes: &str) -> String {
    format!("staticClients:\n- {{id: k8s, name: K, public: true, kubernetes: {{{kubernetes}}}}}\n")
}

const SECRET: &str = "secret: 0123456789abcdefg";

#[test]
fn the_kubernetes_block_is_read() {
    let text = client(
        "groups: distributed, webhook: {secret: 0123456789abcdefg, usernameClaim: email, \
         usernamePrefix: '-', groupsClaim: groups, groupsPrefix: 'oidc:', \
         requiredClaims: {azp: k8s, name: 'true'}}",
    );
    let config = config(&text);
    let cluster = config.clients[0].kubernetes.as_ref().unwrap();
    assert_eq!(cluster.groups, GroupClaims::Distributed);
    let webhook = cluster.webhook.as_ref().unwrap();
    assert!(webhook.secret.matches("0123456789abcdefg"));
    assert_eq!(webhook.username_prefix.as_deref(), Some("-"));
    assert_eq!(
        (webhook.username_claim.as_str(), webhook.groups_prefix.as_str()),
        ("email", "oidc:")
    );
    let required: Vec<_> = webhook.required_claims.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(required, [("azp", "k8s"), ("name", "true")]);
}

#[test]
fn defaults_are_those_of_the_flags_of_kube_apiserver() {
    assert!(config("").clients.iter().all(|client| client.kubernetes.is_none()));
    let all = config(&client(&format!("webhook: {{{SECRET}}}")));
    let cluster = all.clients[0].kubernetes.as_ref().unwrap();
    assert_eq!(cluster.groups, GroupClaims::Token);
    let webhook = cluster.webhook.as_ref().unwrap();
    assert_eq!((webhook.username_claim.as_str(), &webhook.username_prefix), ("sub", &None));
    assert_eq!((&webhook.groups_claim, webhook.groups_prefix.as_str()), (&None, ""));
}

#[test]
fn invalid_values_are_errors_at_their_position() {
    for (kubernetes, place, expected) in [
        ("groups: live", "groups", "found \"live\", expected one of token, distributed"),
        ("webhook: {}", "webhook.secret", "is missing"),
        (
            "webhook: {secret: short}",
            "webhook.secret",
            "is too short, expected 16 characters or more",
        ),
        (
            "webhook: {secret: 'of sixteen characters'}",
            "webhook.secret",
            "holds characters that a bearer token cannot, expected visible ASCII",
        ),
        (
            "webhook: {secretEnv: NOWHERE}",
            "webhook.secretEnv",
            "the environment variable NOWHERE is not set",
        ),
        (
            "webhook: {secret: 0123456789abcdefg, secretEnv: NOWHERE}",
            "webhook.secretEnv",
            "is given together with secret, expected only one of them",
        ),
        (
            "webhook: {secret: 0123456789abcdefg, usernameClaim: uid}",
            "webhook.usernameClaim",
            "found \"uid\", expected one of sub, email, preferred_username, name",
        ),
        (
            "webhook: {secret: 0123456789abcdefg, requiredClaims: {emial: x}}",
            "webhook.requiredClaims.emial",
            "is no claim of an ID token that is a text, did you mean email?",
        ),
        (
            "webhook: {secret: 0123456789abcdefg, requiredClaims: {email: [x]}}",
            "webhook.requiredClaims.email",
            "found a list, expected text",
        ),
        ("webhok: {}", "webhok", "is not a known key, did you mean webhook?"),
    ] {
        let problems = problems(&client(kubernetes));
        let [only] = problems.as_slice() else { panic!("{kubernetes}: {problems:?}") };
        let wanted = format!(": staticClients[0].kubernetes.{place}: {expected}");
        assert!(only.starts_with("3:") && only.ends_with(&wanted), "{kubernetes}: {only}");
        assert!(!only.contains("0123456789"), "{only}");
    }
}

#[test]
fn groups_without_a_prefix_get_a_warning() {
    let text = client(&format!("webhook: {{{SECRET}, groupsClaim: groups}}"));
    let problems = problems(&text);
    assert!(problems.len() == 1 && problems[0].contains("warning: "), "{problems:?}");
    assert!(problems[0].contains("webhook.groupsPrefix: is missing"), "{problems:?}");
}

#[test]
fn the_webhook_secret_must_differ_from_the_clients_secret() {
    let text = "staticClients:\n- {id: k8s, name: K, secret: 0123456789abcdefg, redirectURIs: ['https://k.example.com/'], \
                kubernetes: {webhook: {secret: 0123456789abcdefg}}}\n";
    let problems = problems(text);
    assert!(
        problems.len() == 1 && problems[0].contains("is the client's own secret"),
        "{problems:?}"
    );
}

#[test]
fn a_webhook_requires_an_id_that_can_be_in_a_path() {
    for id in ["a/b", "a%20b", "..", "a?b"] {
        let text =
            client(&format!("webhook: {{{SECRET}}}")).replace("id: k8s", &format!("id: '{id}'"));
        let problems = problems(&text);
        assert!(
            problems.len() == 1 && problems[0].contains("is allowed in a path"),
            "{id}: {problems:?}"
        );
    }
}
