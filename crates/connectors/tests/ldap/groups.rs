//! Groups of users, and nested groups.

use countersign_core::connector::{LoginMethod, LoginOutcome};
use countersign_core::{LoginScopes, Secret, Trace};

use crate::slapd::{Certificate, PASSWORD, Slapd, many_groups};
use crate::tree::{map, text};
use crate::{at, cause, connector, groups_of, matcher, sign_in, trace_text};

#[tokio::test]
async fn groups_of_groups_are_found_and_a_loop_ends() {
    let Some(slapd) = Slapd::start() else { return };
    let groups = groups_of(vec![matcher("DN", "member", Some("member"))]);
    let ldap = connector(vec![at(&slapd), ("groupSearch", groups)], vec![]);
    let jane = sign_in(&ldap, "jane", PASSWORD).await;
    assert_eq!(jane.identity.groups, ["admins", "developers", "staff", "everybody"]);
    let joe = sign_in(&ldap, "joe", PASSWORD).await;
    assert_eq!(joe.identity.groups, ["developers", "staff", "everybody", "admins"]);
}

#[tokio::test]
async fn every_value_of_the_persons_attribute_counts() {
    let Some(slapd) = Slapd::start() else { return };
    let by_department = matcher("departmentNumber", "cn", None);
    let groups = groups_of(vec![by_department, matcher("DN", "member", None)]);
    let ldap = connector(vec![at(&slapd), ("groupSearch", groups)], vec![]);
    let jane = sign_in(&ldap, "jane", PASSWORD).await;
    assert_eq!(jane.identity.groups, ["dev", "ops", "admins", "developers"]);
    let joe = sign_in(&ldap, "joe", PASSWORD).await;
    assert_eq!(joe.identity.groups, ["developers"], "he has no department");
}

#[tokio::test]
async fn a_group_found_twice_is_returned_once() {
    let Some(slapd) = Slapd::start() else { return };
    let by_overlay = matcher("memberOf", "entryDN", None);
    let groups = groups_of(vec![by_overlay, matcher("dn", "member", None)]);
    let ldap = connector(vec![at(&slapd), ("groupSearch", groups)], vec![]);
    let jane = sign_in(&ldap, "jane", PASSWORD).await;
    assert_eq!(jane.identity.groups, ["admins", "developers"]);
}

#[tokio::test]
async fn thousands_of_groups_arrive_in_spite_of_the_servers_size_limit() {
    let more = many_groups(2_500);
    let Some(slapd) = Slapd::start_with(Certificate::FromCa, &more) else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    let joe = sign_in(&ldap, "joe", PASSWORD).await;
    assert_eq!(joe.identity.groups.len(), 2_501);
}

#[tokio::test]
async fn who_does_not_want_groups_costs_no_search_for_them() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    let LoginMethod::Password(method) = &ldap.login_method else { panic!("it is a password") };
    let mut trace = Trace::default();
    let login =
        method.login("jane", &Secret::new(PASSWORD), LoginScopes::default(), &mut trace).await;
    let Ok(LoginOutcome::Accepted(jane)) = login else { panic!("{login:?}") };
    assert!(jane.identity.groups.is_empty());
    assert!(trace_text(&trace).contains("groups were not requested"));
    assert!(!slapd.log().contains("ou=Groups"));
}

#[tokio::test]
async fn a_group_without_its_name_is_an_error_that_names_it() {
    let Some(slapd) = Slapd::start() else { return };
    let groups = map(vec![
        ("baseDN", text("ou=Groups,dc=example,dc=org")),
        ("filter", text("(objectClass=groupOfNames)")),
        ("nameAttr", text("description")),
        ("userAttr", text("DN")),
        ("groupAttr", text("member")),
    ]);
    let ldap = connector(vec![at(&slapd), ("groupSearch", groups)], vec![]);
    assert_eq!(
        cause(&ldap, "jane", PASSWORD).await,
        "group cn=admins,ou=Groups,dc=example,dc=org lacks description"
    );
}
