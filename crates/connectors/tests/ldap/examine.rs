//! What an administrator is told of somebody, without a password.

use countersign_config::Node;
use countersign_core::connector::{AccountDiagnosis, ConnectorError, LoginMethod};
use countersign_core::{Connector, Identity, Trace};

use crate::hostile::Impostor;
use crate::slapd::{Certificate, Slapd};
use crate::tree::{list, map, plain, text};
use crate::{at, connector, matcher, story};

async fn diagnose(
    ldap: &Connector,
    login: &str,
) -> (Result<AccountDiagnosis, ConnectorError>, String) {
    let LoginMethod::Password(method) = &ldap.login_method else { panic!("it is a password") };
    let mut trace = Trace::default();
    let examined = method.diagnose(login, &mut trace).await;
    let told = story(&trace);
    (examined, told)
}

async fn found(ldap: &Connector, login: &str) -> (Identity, String) {
    let (examined, told) = diagnose(ldap, login).await;
    let Ok(AccountDiagnosis::Found(identity)) = examined else { panic!("{examined:?}\n{told}") };
    (*identity, told)
}

async fn refused(ldap: &Connector, login: &str) -> (String, String) {
    let (examined, told) = diagnose(ldap, login).await;
    let Ok(AccountDiagnosis::Refused { why }) = examined else { panic!("{examined:?}\n{told}") };
    (why, told)
}

/// Every line is there, in this order.
fn assert_told(told: &str, lines: &[&str]) {
    let mut rest = told.lines();
    for line in lines {
        assert!(rest.any(|l| l == *line), "no {line:?} (in this place) in\n{told}");
    }
}

fn nested_groups() -> Node {
    map(vec![
        ("baseDN", text("ou=Groups,dc=example,dc=org")),
        ("filter", text("(objectClass=groupOfNames)")),
        ("nameAttr", text("cn")),
        ("userMatchers", list(vec![matcher("DN", "member", Some("member"))])),
    ])
}

#[tokio::test]
async fn somebody_in_nested_groups_is_told_with_the_way_into_each() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd), ("groupSearch", nested_groups())], vec![]);
    let (joe, told) = found(&ldap, "joe").await;
    assert_eq!(joe.user_id, "uid=joe,ou=People,dc=example,dc=org");
    assert_eq!(joe.email, "joe@example.org");
    assert_eq!(joe.groups, ["developers", "staff", "everybody", "admins"]);
    let port = slapd.port;
    assert_told(
        &told,
        &[
            &format!("Asked a new connection to 127.0.0.1:{port} (no TLS)"),
            &format!(
                "Answered connected to 127.0.0.1:{port} (no TLS), bound as \
                 cn=service,dc=example,dc=org"
            ),
            "Asked search \"ou=People,dc=example,dc=org\", scope sub, filter \
             (&(objectClass=inetOrgPerson)(|(uid=joe)(mail=joe)))",
            "Answered uid=joe,ou=People,dc=example,dc=org",
            "Kept user id: DN \"uid=joe,ou=People,dc=example,dc=org\"",
            "Kept email: mail \"joe@example.org\"",
            "Noted not disabled: none of userAccountControl, pwdAccountLockedTime, nsAccountLock is \
             there",
            "Kept group \"developers\": direct, from cn=developers,ou=Groups,dc=example,dc=org",
            "Kept group \"staff\": nested 1 deep, member is \
             cn=developers,ou=Groups,dc=example,dc=org, from cn=staff,ou=Groups,dc=example,dc=org",
            "Dropped cn=staff,ou=Groups,dc=example,dc=org: already known",
        ],
    );
    assert!(!slapd.log().contains("BIND dn=\"uid="), "no password was tried");
}

#[tokio::test]
async fn groups_and_people_that_a_filter_leaves_out_are_named() {
    let Some(slapd) = Slapd::start() else { return };
    let groups = map(vec![
        ("baseDN", text("ou=Groups,dc=example,dc=org")),
        ("filter", text("(cn=a*)")),
        ("nameAttr", text("cn")),
        ("userMatchers", list(vec![matcher("DN", "member", None)])),
    ]);
    let keys = vec![at(&slapd), ("groupSearch", groups)];
    let ldap = connector(keys, vec![("filter", text("(departmentNumber=ops)"))]);
    let (jane, told) = found(&ldap, "jane").await;
    assert_eq!(jane.groups, ["admins"]);
    let developers = "Dropped cn=developers,ou=Groups,dc=example,dc=org: \
                      not matched by groupSearch.filter (cn=a*)";
    assert_told(&told, &[developers]);
    assert_told(&told, &["Kept email: mail \"jane@example.org\" the first of several"]);
    let (_, told) = refused(&ldap, "jo").await;
    assert!(!told.contains("Dropped"), "nobody has this name: {told}");
    let people = connector(vec![at(&slapd)], vec![("filter", text("(departmentNumber=*)"))]);
    let (why, told) = refused(&people, "joe").await;
    assert_eq!(why, "no entry answers to the name \"joe\"");
    let joe = "Dropped uid=joe,ou=People,dc=example,dc=org: \
               not matched by userSearch.filter (departmentNumber=*)";
    assert_told(&told, &["Answered no entry", "Answered entries that have the name", joe]);
}

#[tokio::test]
async fn who_would_be_refused_is_told_why_and_everything_else_too() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    let (why, told) = refused(&ldap, "off").await;
    assert_eq!(why, "userAccountControl says the account is disabled");
    assert_told(
        &told,
        &["Noted userAccountControl is 514: the account is disabled", "Answered 0 groups"],
    );
    let (why, _) = refused(&ldap, "locked").await;
    assert_eq!(why, "pwdAccountLockedTime says the account is disabled");
    let (why, told) = refused(&ldap, "nomail").await;
    assert_eq!(why, "entry uid=nomail,ou=People,dc=example,dc=org lacks mail");
    let mail = "Dropped email: mail: the entry lacks it, or the bind user may not read it";
    assert_told(&told, &[mail, "Answered 0 groups"]);
    let (why, told) = refused(&ldap, "twin").await;
    assert_eq!(why, "more than one entry answers to the name \"twin\"");
    assert!(told.contains("uid=twin,ou=Elsewhere,ou=People,dc=example,dc=org"), "{told}");
    let (why, _) = refused(&ldap, "jane)(uid=*").await;
    assert!(why.starts_with("no entry answers"), "{why}");
    assert!(!slapd.log().contains("BIND dn=\"uid="), "no password was tried");
}

#[tokio::test]
async fn what_is_wrong_with_the_connector_is_told_with_how_far_it_came() {
    let Some(slapd) = Slapd::start_with(Certificate::Expired, "") else { return };
    let silent = Impostor::silent().await;
    let host = |host: String| ("host", text(host));
    let tls = || vec![("insecureNoSSL", plain("false")), ("rootCA", path(&slapd))];
    let with = |mut keys: Vec<(&'static str, Node)>, key| {
        keys.push(key);
        keys
    };
    let wrong = connector(vec![at(&slapd), ("bindPW", text("wrong"))], vec![]);
    let unknown = connector(vec![at(&slapd), ("bindDN", text("cn=no,dc=example,dc=org"))], vec![]);
    let expired = connector(with(tls(), host(format!("localhost:{}", slapd.tls_port))), vec![]);
    let plain_port = connector(with(tls(), host(format!("localhost:{}", slapd.port))), vec![]);
    let nobody_there = connector(vec![host("127.0.0.1:1".to_owned())], vec![]);
    let hosts = format!("127.0.0.1:1, 127.0.0.1:{}", silent.port);
    let hangs = connector(vec![host(hosts), ("timeout", plain("300ms"))], vec![]);
    let base = connector(vec![at(&slapd)], vec![("baseDN", text("ou=No,dc=example,dc=org"))]);
    let no_dn = connector(vec![at(&slapd)], vec![("baseDN", text("people"))]);
    let groups = map(vec![
        ("baseDN", text("ou=No,dc=example,dc=org")),
        ("nameAttr", text("cn")),
        ("userMatchers", list(vec![matcher("DN", "member", None)])),
    ]);
    let no_groups = connector(vec![at(&slapd), ("groupSearch", groups)], vec![]);
    for (ldap, cause, reached) in [
        (wrong, "bindDN or bindPW is wrong", "Asked a new connection"),
        (unknown, "bindDN or bindPW is wrong", "Asked a new connection"),
        (expired, "the server's certificate is not acceptable: it has expired", "no answer from"),
        (plain_port, "does this port want startTLS?", "TLS, certificate verified"),
        (nobody_there, "nothing listens on this port", "no answer from 127.0.0.1:1"),
        (hangs, "bind: no answer in time", "no answer from 127.0.0.1:1: cannot connect"),
        (base, "the base does not exist or may not be seen", "bound as cn=service"),
        (no_dn, "the base is not a DN", "search \"people\""),
        (no_groups, "the base does not exist or may not be seen", "Kept name: cn \"Jane Doe\""),
    ] {
        let (examined, told) = diagnose(&ldap, "jane").await;
        let Err(unavailable) = examined else { panic!("{examined:?}\n{told}") };
        assert!(unavailable.cause().contains(cause), "no {cause:?} in {unavailable}");
        assert!(told.contains(reached), "no {reached:?} in\n{told}");
        assert!(!told.contains("service-password"), "{told}");
    }
}

fn path(slapd: &Slapd) -> Node {
    text(slapd.file("ca.pem").display().to_string())
}
