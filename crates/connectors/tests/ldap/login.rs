//! Logins and refusals.

use countersign_core::Trace;
use countersign_core::connector::Refusal;

use crate::slapd::{PASSWORD, Slapd};
use crate::tree::{list, text};
use crate::{at, attempt, cause, connector, refusal, sign_in, trace_text};

#[tokio::test]
async fn jane_signs_in_by_name_or_by_any_of_her_addresses() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    for name in ["jane", "JANE", "jane@example.org", "jane.doe@example.org"] {
        let identity = sign_in(&ldap, name, PASSWORD).await.identity;
        assert_eq!(identity.user_id, "uid=jane,ou=People,dc=example,dc=org");
        assert_eq!(identity.username, "Jane Doe");
        assert_eq!(identity.preferred_username, "jane");
        assert_eq!(identity.email, "jane@example.org");
        assert!(identity.email_verified);
        assert_eq!(identity.groups, ["admins", "developers"]);
    }
}

#[tokio::test]
async fn names_with_parentheses_asterisks_and_accents_are_only_names() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    let zoe = sign_in(&ldap, "zoë (ops) *", PASSWORD).await;
    assert_eq!(zoe.identity.username, "Zoë (ops)");
    assert_eq!(zoe.identity.groups, ["a (group), with: *"]);
    let comma = sign_in(&ldap, "comma", PASSWORD).await;
    assert_eq!(comma.identity.username, "comma, plus+ hash#");
    assert_eq!(comma.identity.groups, ["of commas"]);
}

#[tokio::test]
async fn a_filter_cannot_be_smuggled_in_by_name() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    for name in ["*", "jan*", "*)(uid=*", "jane)(|(uid=*", r"\2a", r"jan\65", "a)(|(cn=*", "\\"] {
        assert_eq!(refusal(&ldap, name, PASSWORD).await, Refusal::BadCredentials, "{name}");
    }
}

#[tokio::test]
async fn an_empty_password_never_reaches_a_server_that_would_accept_it() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    assert_eq!(refusal(&ldap, "jane", "").await, Refusal::BadCredentials);
    assert!(!slapd.log().contains("BIND"), "no request was sent");
    let jane = "uid=jane,ou=People,dc=example,dc=org";
    assert!(slapd.accepts(jane, ""), "the trap is set");
    assert!(!slapd.accepts(jane, "wrong"));
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_are_one_refusal() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    assert_eq!(refusal(&ldap, "jane", "wrong").await, Refusal::BadCredentials);
    assert_eq!(refusal(&ldap, "nobody", PASSWORD).await, Refusal::BadCredentials);
    assert_eq!(refusal(&ldap, "jane", "bar ").await, Refusal::BadCredentials);
}

#[tokio::test]
async fn two_people_of_one_name_are_nobody() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    let mut trace = Trace::default();
    let login = attempt(&ldap, "twin", PASSWORD, &mut trace).await;
    assert!(format!("{login:?}").contains("BadCredentials"), "{login:?}");
    assert!(trace_text(&trace).contains("more than one entry answers to this name"));
    assert_eq!(sign_in(&ldap, "twin2@example.org", PASSWORD).await.identity.username, "Twin Two");
    let shallow = connector(vec![at(&slapd)], vec![("scope", text("one"))]);
    assert_eq!(sign_in(&shallow, "twin", PASSWORD).await.identity.username, "Twin One");
}

#[tokio::test]
async fn expired_reset_and_locked_accounts_get_their_own_refusal() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    assert_eq!(refusal(&ldap, "expired", PASSWORD).await, Refusal::PasswordExpired);
    assert_eq!(refusal(&ldap, "reset", PASSWORD).await, Refusal::PasswordExpired);
    assert_eq!(refusal(&ldap, "locked", PASSWORD).await, Refusal::AccountLocked);
    assert_eq!(refusal(&ldap, "off", PASSWORD).await, Refusal::AccountDisabled);
    assert_eq!(
        refusal(&ldap, "off", "wrong").await,
        Refusal::BadCredentials,
        "revealed to its owner only"
    );
}

#[tokio::test]
async fn a_server_that_locks_after_three_failures_is_reported() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    for _ in 0..3 {
        assert_eq!(refusal(&ldap, "joe", "wrong").await, Refusal::BadCredentials);
    }
    assert_eq!(refusal(&ldap, "joe", PASSWORD).await, Refusal::AccountLocked);
}

#[tokio::test]
async fn missing_and_binary_attributes_are_named() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(
        vec![at(&slapd)],
        vec![("idAttr", text("objectGUID")), ("preferredUsernameAttr", text("displayName"))],
    );
    assert_eq!(
        cause(&ldap, "nomail", PASSWORD).await,
        "entry uid=nomail,ou=People,dc=example,dc=org lacks \
         objectGUID (it is there, but is not text), displayName, mail"
    );
    let suffixed = connector(
        vec![at(&slapd)],
        vec![("emailSuffix", text("example.net")), ("nameAttr", text("uid"))],
    );
    assert_eq!(sign_in(&suffixed, "nomail", PASSWORD).await.identity.email, "nomail@example.net");
}

#[tokio::test]
async fn the_trace_names_a_wrong_service_password_or_search_base() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd), ("bindPW", text("wrong"))], vec![]);
    let reason = cause(&ldap, "jane", PASSWORD).await;
    assert!(reason.contains("binding as bindDN: rc=49 (invalidCredentials)"), "{reason}");
    let ldap = connector(vec![at(&slapd)], vec![("baseDN", text("ou=Nowhere,dc=example,dc=org"))]);
    let reason = cause(&ldap, "jane", PASSWORD).await;
    assert!(reason.contains("noSuchObject"), "{reason}");
}

#[tokio::test]
async fn without_a_service_account_the_search_is_anonymous() {
    let Some(slapd) = Slapd::start() else { return };
    let keys = vec![at(&slapd), ("bindDN", text("")), ("bindPW", text(""))];
    let ldap = connector(keys, vec![("username", list(vec![text("uid")]))]);
    assert_eq!(sign_in(&ldap, "jane", PASSWORD).await.identity.username, "Jane Doe");
}

#[tokio::test]
async fn the_trace_lists_requests_and_results_and_no_password() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    let mut trace = Trace::default();
    attempt(&ldap, "jane", PASSWORD, &mut trace).await.unwrap();
    let trace_text = trace_text(&trace);
    let jane = "uid=jane,ou=People,dc=example,dc=org";
    for expected in [
        &*format!("connected to 127.0.0.1:{} (no TLS), bound as cn=service,", slapd.port),
        "search \"ou=People,dc=example,dc=org\", scope sub, filter \
         (&(objectClass=inetOrgPerson)(|(uid=jane)(mail=jane)))",
        jane,
        &format!("bind at 127.0.0.1:{} as {jane}", slapd.port),
        "the password is right",
        &format!("scope sub, filter (member={jane})"),
        "group \"admins\": direct, from cn=admins,ou=Groups,dc=example,dc=org",
    ] {
        assert!(trace_text.contains(expected), "no {expected:?} in\n{trace_text}");
    }
    assert!(
        !trace_text.contains(PASSWORD) && !trace_text.contains("service-password"),
        "{trace_text}"
    );
}
