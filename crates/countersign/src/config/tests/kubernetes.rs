//! `staticClients[].kubernetes`.

use countersign_core::kubernetes::GroupClaims;

use super::{config, said};

/// One public client, its `kubernetes` in one line.
fn client(kubernetes: &str) -> String {
    format!("staticClients:\n- {{id: k8s, name: K, public: true, kubernetes: {{{kubernetes}}}}}\n")
}

const SECRET: &str = "secret: 0123456789abcdefg";

#[test]
fn a_cluster_is_read_as_written() {
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
fn what_is_left_out_is_as_with_the_flags_of_kube_apiserver() {
    assert!(config("").clients.iter().all(|client| client.kubernetes.is_none()));
    let all = config(&client(&format!("webhook: {{{SECRET}}}")));
    let cluster = all.clients[0].kubernetes.as_ref().unwrap();
    assert_eq!(cluster.groups, GroupClaims::Token);
    let webhook = cluster.webhook.as_ref().unwrap();
    assert_eq!((webhook.username_claim.as_str(), &webhook.username_prefix), ("sub", &None));
    assert_eq!((&webhook.groups_claim, webhook.groups_prefix.as_str()), (&None, ""));
}

#[test]
fn what_cannot_be_is_an_error_in_its_place() {
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
        let said = said(&client(kubernetes));
        let [only] = said.as_slice() else { panic!("{kubernetes}: {said:?}") };
        let wanted = format!(": staticClients[0].kubernetes.{place}: {expected}");
        assert!(only.starts_with("3:") && only.ends_with(&wanted), "{kubernetes}: {only}");
        assert!(!only.contains("0123456789"), "{only}");
    }
}

#[test]
fn groups_without_a_prefix_are_warned_of() {
    let text = client(&format!("webhook: {{{SECRET}, groupsClaim: groups}}"));
    let said = said(&text);
    assert!(said.len() == 1 && said[0].contains("warning: "), "{said:?}");
    assert!(said[0].contains("webhook.groupsPrefix: is missing"), "{said:?}");
}

#[test]
fn the_clients_own_secret_is_not_the_api_servers() {
    let text = "staticClients:\n- {id: k8s, name: K, secret: 0123456789abcdefg, redirectURIs: ['https://k.example.com/'], \
                kubernetes: {webhook: {secret: 0123456789abcdefg}}}\n";
    let said = said(text);
    assert!(said.len() == 1 && said[0].contains("is the client's own secret"), "{said:?}");
}

#[test]
fn an_id_that_cannot_stand_in_a_path_has_no_webhook() {
    for id in ["a/b", "a%20b", "..", "a?b"] {
        let text =
            client(&format!("webhook: {{{SECRET}}}")).replace("id: k8s", &format!("id: '{id}'"));
        let said = said(&text);
        assert!(said.len() == 1 && said[0].contains("stand in a path"), "{id}: {said:?}");
    }
}
