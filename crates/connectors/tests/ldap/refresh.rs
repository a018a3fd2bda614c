//! Refresh: changed groups and names, deleted and disabled accounts, and a login name that now belongs to another
//! person.

use countersign_core::Secret;
use countersign_core::connector::{RefreshOutcome, SignedIn};

use crate::slapd::{PASSWORD, Slapd};
use crate::tree::text;
use crate::{ask_again, at, connector, sign_in};

fn current(refreshed: RefreshOutcome) -> SignedIn {
    let RefreshOutcome::Current(now) = refreshed else { panic!("{refreshed:?}") };
    *now
}

#[tokio::test]
async fn a_new_group_and_a_new_name_arrive() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    let before = sign_in(&ldap, "joe", PASSWORD).await;
    slapd.modify(
        "dn: cn=admins,ou=Groups,dc=example,dc=org\nchangetype: modify\nadd: member\n\
         member: uid=joe,ou=People,dc=example,dc=org\n\n\
         dn: uid=joe,ou=People,dc=example,dc=org\nchangetype: modify\nreplace: cn\ncn: Joseph\n",
    );
    let now = current(ask_again(&ldap, &before).await);
    assert_eq!(now.identity.groups, ["admins", "developers"]);
    assert_eq!(now.identity.username, "Joseph");
    assert_eq!(now.identity.user_id, before.identity.user_id);
}

#[tokio::test]
async fn a_deleted_user_is_missing_and_a_deactivated_one_disabled() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    let (jane, joe) =
        (sign_in(&ldap, "jane", PASSWORD).await, sign_in(&ldap, "joe", PASSWORD).await);
    let zoe = sign_in(&ldap, "zoe@example.org", PASSWORD).await;
    slapd.modify(
        "dn: uid=jane,ou=People,dc=example,dc=org\nchangetype: delete\n\n\
         dn: uid=joe,ou=People,dc=example,dc=org\nchangetype: modify\nadd: pwdAccountLockedTime\n\
         pwdAccountLockedTime: 000001010000Z\n\n\
         dn: uid=zo\\C3\\AB \\28ops\\29 *,ou=People,dc=example,dc=org\nchangetype: modify\n\
         add: objectClass\nobjectClass: foreignAccount\n-\nadd: nsAccountLock\nnsAccountLock: true\n",
    );
    assert!(matches!(ask_again(&ldap, &jane).await, RefreshOutcome::Missing { .. }));
    assert!(matches!(ask_again(&ldap, &joe).await, RefreshOutcome::Disabled));
    assert!(matches!(ask_again(&ldap, &zoe).await, RefreshOutcome::Disabled));
}

#[tokio::test]
async fn who_was_renamed_and_moved_is_found_by_id() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![("idAttr", text("employeeNumber"))]);
    let before = sign_in(&ldap, "jane", PASSWORD).await;
    slapd.modify(
        "dn: uid=jane,ou=People,dc=example,dc=org\nchangetype: modrdn\nnewrdn: uid=janet\n\
         deleteoldrdn: 1\nnewsuperior: ou=Elsewhere,ou=People,dc=example,dc=org\n",
    );
    let now = current(ask_again(&ldap, &before).await);
    assert_eq!(now.identity.user_id, "1001");
    assert_eq!(now.identity.preferred_username, "janet");
    let upstream = now.upstream.expect("for the next time");
    assert!(upstream.expose().contains("uid=janet,ou=Elsewhere"), "{}", upstream.expose());
    assert!(matches!(ask_again(&ldap, &before).await, RefreshOutcome::Current(_)), "and again");
}

#[tokio::test]
async fn who_signed_in_by_an_address_that_changed_is_found_by_dn() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    let before = sign_in(&ldap, "joe@example.org", PASSWORD).await;
    slapd.modify(
        "dn: uid=joe,ou=People,dc=example,dc=org\nchangetype: modify\nreplace: mail\n\
         mail: joseph@example.org\n",
    );
    assert_eq!(current(ask_again(&ldap, &before).await).identity.email, "joseph@example.org");
}

#[tokio::test]
async fn another_user_under_the_old_name_is_not_the_first() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![("idAttr", text("employeeNumber"))]);
    let before = sign_in(&ldap, "joe", PASSWORD).await;
    slapd.modify(
        "dn: uid=joe,ou=People,dc=example,dc=org\nchangetype: modify\nreplace: employeeNumber\n\
         employeeNumber: 9999\n",
    );
    assert!(matches!(ask_again(&ldap, &before).await, RefreshOutcome::Missing { .. }));
}

#[tokio::test]
async fn what_dex_kept_is_understood() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    let mut before = sign_in(&ldap, "jane", PASSWORD).await;
    let dex = r#"{"username":"jane","entry":{"DN":"uid=jane,ou=People,dc=example,dc=org","Attributes":null}}"#;
    before.upstream = Some(Secret::new(dex));
    let now = current(ask_again(&ldap, &before).await);
    assert_eq!(now.identity, before.identity);
}

#[tokio::test]
async fn without_anything_kept_the_id_is_enough() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![("idAttr", text("employeeNumber"))]);
    let mut before = sign_in(&ldap, "jane", PASSWORD).await;
    before.upstream = None;
    assert_eq!(current(ask_again(&ldap, &before).await).identity, before.identity);
}

#[tokio::test]
async fn a_search_base_that_vanished_is_an_error_and_nobody_is_missing() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    let before = sign_in(&ldap, "jane", PASSWORD).await;
    let other = connector(vec![at(&slapd)], vec![("baseDN", text("ou=Nowhere,dc=example,dc=org"))]);
    let known = countersign_core::connector::RefreshRequest {
        identity: &before.identity,
        upstream: before.upstream.as_ref(),
        login_scopes: crate::ALL,
        now: crate::NOW,
    };
    let refresh = other.refresh.unwrap();
    assert!(refresh.refresh(known, &mut countersign_core::Trace::default()).await.is_err());
}
