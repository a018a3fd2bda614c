//! The diagnosis of a user, without a password.

use countersign_config::Node;
use countersign_core::connector::{AccountDiagnosis, ConnectorError, LoginMethod};
use countersign_core::{Connector, Identity, Trace};

use crate::hostile::Impostor;
use crate::slapd::{Certificate, Slapd};
use crate::tree::{list, map, plain, text};
use crate::{at, connector, matcher, trace_text};

async fn diagnose(
    ldap: &Connector,
    login: &str,
) -> (Result<AccountDiagnosis, ConnectorError>, String) {
    let LoginMethod::Password(method) = &ldap.login_method else { panic!("it is a password") };
    let mut trace = Trace::default();
    let diagnosis = method.diagnose(login, &mut trace).await;
    let steps = trace_text(&trace);
    (diagnosis, steps)
}

async fn found(ldap: &Connector, login: &str) -> (Identity, String) {
    let (diagnosis, steps) = diagnose(ldap, login).await;
    let Ok(AccountDiagnosis::Found(identity)) = diagnosis else { panic!("{diagnosis:?}\n{steps}") };
    (*identity, steps)
}

async fn refused(ldap: &Connector, login: &str) -> (String, String) {
    let (diagnosis, steps) = diagnose(ldap, login).await;
    let Ok(AccountDiagnosis::Refused { reason }) = diagnosis else {
        panic!("{diagnosis:?}\n{steps}")
    };
    (reason, steps)
}

/// Every line must be there, in this order.
fn assert_steps(steps: &str, lines: &[&str]) {
    let mut rest = steps.lines();
    for line in lines {
        assert!(rest.any(|l| l == *line), "no {line:?} (in this place) in\n{steps}");
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
async fn nested_groups_are_listed_with_the_path_into_each() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd), ("groupSearch", nested_groups())], vec![]);
    let (joe, steps) = found(&ldap, "joe").await;
    assert_eq!(joe.user_id, "uid=joe,ou=People,dc=example,dc=org");
    assert_eq!(joe.email, "joe@example.org");
    assert_eq!(joe.groups, ["developers", "staff", "everybody", "admins"]);
    let port = slapd.port;
    assert_steps(
        &steps,
        &[
            &format!("Request a new connection to 127.0.0.1:{port} (no TLS)"),
            &format!(
                "Response connected to 127.0.0.1:{port} (no TLS), bound as \
                 cn=service,dc=example,dc=org"
            ),
            "Request search \"ou=People,dc=example,dc=org\", scope sub, filter \
             (&(objectClass=inetOrgPerson)(|(uid=joe)(mail=joe)))",
            "Response uid=joe,ou=People,dc=example,dc=org",
            "Included user id: DN \"uid=joe,ou=People,dc=example,dc=org\"",
            "Included email: mail \"joe@example.org\"",
            "Note not disabled: none of userAccountControl, pwdAccountLockedTime, nsAccountLock is \
             there",
            "Included group \"developers\": direct, from cn=developers,ou=Groups,dc=example,dc=org",
            "Included group \"staff\": nested 1 deep, member is \
             cn=developers,ou=Groups,dc=example,dc=org, from cn=staff,ou=Groups,dc=example,dc=org",
            "Excluded cn=staff,ou=Groups,dc=example,dc=org: already known",
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
    let (jane, steps) = found(&ldap, "jane").await;
    assert_eq!(jane.groups, ["admins"]);
    let developers = "Excluded cn=developers,ou=Groups,dc=example,dc=org: \
                      not matched by groupSearch.filter (cn=a*)";
    assert_steps(&steps, &[developers]);
    assert_steps(&steps, &["Included email: mail \"jane@example.org\" the first of several"]);
    let (_, steps) = refused(&ldap, "jo").await;
    assert!(!steps.contains("Dropped"), "nobody has this name: {steps}");
    let people = connector(vec![at(&slapd)], vec![("filter", text("(departmentNumber=*)"))]);
    let (reason, steps) = refused(&people, "joe").await;
    assert_eq!(reason, "no entry answers to the name \"joe\"");
    let joe = "Excluded uid=joe,ou=People,dc=example,dc=org: \
               not matched by userSearch.filter (departmentNumber=*)";
    assert_steps(&steps, &["Response no entry", "Response entries that have the name", joe]);
}

#[tokio::test]
async fn a_refused_user_is_diagnosed_with_the_reason_and_all_details() {
    let Some(slapd) = Slapd::start() else { return };
    let ldap = connector(vec![at(&slapd)], vec![]);
    let (reason, steps) = refused(&ldap, "off").await;
    assert_eq!(reason, "userAccountControl: the account is disabled");
    assert_steps(
        &steps,
        &["Note userAccountControl is 514: the account is disabled", "Response 0 groups"],
    );
    let (reason, _) = refused(&ldap, "locked").await;
    assert_eq!(reason, "pwdAccountLockedTime: the account is disabled");
    let (reason, steps) = refused(&ldap, "nomail").await;
    assert_eq!(reason, "entry uid=nomail,ou=People,dc=example,dc=org lacks mail");
    let mail = "Excluded email: mail: the entry lacks it, or the bind user may not read it";
    assert_steps(&steps, &[mail, "Response 0 groups"]);
    let (reason, steps) = refused(&ldap, "twin").await;
    assert_eq!(reason, "more than one entry answers to the name \"twin\"");
    assert!(steps.contains("uid=twin,ou=Elsewhere,ou=People,dc=example,dc=org"), "{steps}");
    let (reason, _) = refused(&ldap, "jane)(uid=*").await;
    assert!(reason.starts_with("no entry answers"), "{reason}");
    assert!(!slapd.log().contains("BIND dn=\"uid="), "no password was tried");
}

#[tokio::test]
async fn a_connector_fault_is_reported_with_the_step_it_reached() {
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
        (wrong, "bindDN or bindPW is wrong", "Request a new connection"),
        (unknown, "bindDN or bindPW is wrong", "Request a new connection"),
        (expired, "the server's certificate is not acceptable: it has expired", "no answer from"),
        (plain_port, "does this port want startTLS?", "TLS, certificate verified"),
        (nobody_there, "nothing listens on this port", "no answer from 127.0.0.1:1"),
        (hangs, "bind: no answer in time", "no answer from 127.0.0.1:1: cannot connect"),
        (base, "the base does not exist or may not be seen", "bound as cn=service"),
        (no_dn, "the base is not a DN", "search \"people\""),
        (no_groups, "the base does not exist or may not be seen", "Included name: cn \"Jane Doe\""),
    ] {
        let (diagnosis, steps) = diagnose(&ldap, "jane").await;
        let Err(unavailable) = diagnosis else { panic!("{diagnosis:?}\n{steps}") };
        assert!(unavailable.cause().contains(cause), "no {cause:?} in {unavailable}");
        assert!(steps.contains(reached), "no {reached:?} in\n{steps}");
        assert!(!steps.contains("service-password"), "{steps}");
    }
}

fn path(slapd: &Slapd) -> Node {
    text(slapd.file("ca.pem").display().to_string())
}
