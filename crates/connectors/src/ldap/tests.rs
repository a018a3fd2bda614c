use countersign_config::Node;
use countersign_core::connector::{
    AccountDiagnosis, ConnectorError, Fingerprint, LoginMethod, LoginOutcome, Refusal,
};
use countersign_core::{Connector, ConnectorId, LoginScopes, Secret, Trace};

use crate::tree::{self, list, map, plain, text};

/// A valid configuration whose host does not respond; `changes` replace or add keys.
fn config(changes: Vec<(&'static str, Node)>) -> Node {
    let mut entries = vec![
        ("host", text("127.0.0.1:1")),
        ("insecureNoSSL", plain("true")),
        ("userSearch", user_search(vec![])),
    ];
    for (key, value) in changes {
        entries.retain(|(name, _)| *name != key);
        entries.push((key, value));
    }
    map(entries)
}

fn user_search(changes: Vec<(&'static str, Node)>) -> Node {
    let mut entries = vec![
        ("baseDN", text("ou=People,dc=example,dc=org")),
        ("username", text("uid")),
        ("idAttr", text("uid")),
        ("emailAttr", text("mail")),
    ];
    for (key, value) in changes {
        entries.retain(|(name, _)| *name != key);
        entries.push((key, value));
    }
    map(entries)
}

fn read(config: Node) -> (Option<Connector>, Vec<String>) {
    tree::read(config, |section| super::read(ConnectorId::new("ldap"), "LDAP".into(), section))
}

fn without(config: Node, key: &str) -> Node {
    let countersign_config::Value::Map(mut entries) = config.value else { panic!("a map") };
    entries.retain(|(name, _)| name.text != key);
    Node { mark: config.mark, value: countersign_config::Value::Map(entries) }
}

#[test]
fn a_sound_configuration_opens_nothing_and_has_nothing_to_complain_about() {
    let groups = map(vec![
        ("baseDN", text("ou=Groups,dc=example,dc=org")),
        ("filter", text("(objectClass=groupOfNames)")),
        ("scope", text("one")),
        ("nameAttr", text("cn")),
        (
            "userMatchers",
            list(vec![map(vec![
                ("userAttr", text("DN")),
                ("groupAttr", text("member")),
                ("recursionGroupAttr", text("member")),
            ])]),
        ),
    ]);
    let (connector, problems) = read(config(vec![
        ("bindDN", text("cn=admin,dc=example,dc=org")),
        ("bindPW", text("admin")),
        ("usernamePrompt", text("Staff name")),
        ("groupSearch", groups),
        ("timeout", plain("2s")),
        ("poolSize", plain("3")),
    ]));
    assert!(problems.is_empty(), "{problems:?}");
    let connector = connector.unwrap();
    let fingerprint = "ldap:127.0.0.1:1/ou=people,dc=example,dc=org/uid".to_owned();
    assert_eq!(connector.fingerprint, Fingerprint::Upstream(fingerprint));
    let LoginMethod::Password(method) = connector.login_method else { panic!("it is a password") };
    assert_eq!(method.prompt(), "Staff name");
}

/// Dex signs in people with a Kerberos ticket. Passwords take its place only where Dex accepts them, too.
#[test]
fn kerberos_is_refused_unless_passwords_are_its_fallback() {
    let problems = |entries: Vec<(&'static str, Node)>| {
        read(config(vec![("kerberos", map(entries))])).1.join("\n")
    };
    let enabled = || ("enabled", plain("true"));
    let keytab = || ("keytabPath", text("/etc/dex/krb5.keytab"));
    assert_eq!(problems(vec![("enabled", plain("false")), keytab()]), "");
    let fallback = problems(vec![enabled(), keytab(), ("fallbackToPassword", plain("true"))]);
    assert!(fallback.contains(": kerberos.enabled: Kerberos tickets are not"), "{fallback}");
    assert!(fallback.contains("here: people type their password"), "{fallback}");
    for only_tickets in [vec![enabled()], vec![enabled(), ("fallbackToPassword", plain("false"))]] {
        let found = problems(only_tickets);
        assert!(found.contains(": kerberos.enabled: Kerberos tickets are not"), "{found}");
        assert!(found.contains("remove kerberos if people may type their password"), "{found}");
    }
}

#[test]
fn every_problem_is_reported_with_its_position() {
    let wrong = map(vec![
        ("host", text("ldap://x, [::1, a:0, ok.example.com")),
        ("insecureNoSSL", plain("true")),
        ("startTLS", plain("true")),
        ("bindDN", text("cn=admin")),
        ("kerberos", map(vec![("enabled", plain("true"))])),
        (
            "userSearch",
            map(vec![
                ("filter", text("objectClass=person")),
                ("username", list(vec![text("uid"), text("a)(b")])),
                ("scope", text("tree")),
                ("emailSuffix", text("example.org")),
                ("idAtr", text("uid")),
            ]),
        ),
        ("groupSearch", map(vec![("baseDN", text("x"))])),
        ("timeout", plain("0")),
        ("poolSize", plain("0")),
    ]);
    let (connector, problems) = read(wrong);
    assert!(connector.is_none());
    let output = problems.join("\n");
    for expected in [
        "1:3: host: \"ldap://x\" is a URL, expected host or host:port",
        "1:3: host: \"[::1\" lacks a closing bracket",
        "1:3: host: \"a:0\" has a port that is not a number from 1 to 65535",
        "3:3: startTLS: contradicts insecureNoSSL",
        "bindPW: is missing or empty, and bindDN is given",
        "kerberos.enabled: Kerberos tickets are not accepted here, and without fallbackToPassword",
        "userSearch.baseDN: is missing",
        "8:3: userSearch.filter: is not an LDAP filter, expected such as (objectClass=person)",
        "userSearch.username: \"a)(b\" is not the name of an attribute",
        "userSearch.scope: found \"tree\"",
        "userSearch.emailSuffix: needs nameAttr",
        "userSearch.idAtr: is not a known key, did you mean idAttr?",
        "userSearch.idAttr: is missing",
        "groupSearch.nameAttr: is missing",
        "groupSearch.userMatchers: is missing: without it nobody has a group. Give it, such as [{userAttr: DN",
        "timeout: must be longer than 0s",
        "poolSize: found a plain value, expected a whole number from 1 to 256",
    ] {
        assert!(output.contains(expected), "no {expected:?} in\n{output}");
    }
}

#[test]
fn unusable_certificates_are_reported() {
    let (connector, problems) = read(config(vec![
        ("insecureNoSSL", plain("false")),
        ("host", text("ldap.example.com")),
        ("rootCA", text("/no/such/file")),
        ("rootCAData", text("bm90IGEgY2VydGlmaWNhdGU=")),
        ("clientKey", text("/no/such/key")),
    ]));
    assert!(connector.is_none());
    let output = problems.join("\n");
    for expected in [
        "rootCA: cannot read /no/such/file",
        "rootCAData: holds no certificate in PEM",
        "clientCert: is missing: clientCert and clientKey go together",
    ] {
        assert!(output.contains(expected), "no {expected:?} in\n{output}");
    }
}

#[test]
fn clear_text_is_warned_about_except_on_loopback() {
    let (_, problems) = read(config(vec![("host", text("ldap.example.com"))]));
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("insecureNoSSL: sends every password over the network in clear"));
    let (_, problems) = read(config(vec![("host", text("localhost"))]));
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn hosts_get_the_port_of_their_way_of_speaking() {
    let fingerprint = |changes| fingerprint(config(changes)).split_once('/').unwrap().0.to_owned();
    let skip = || ("insecureSkipVerify", plain("true"));
    let tls = || ("insecureNoSSL", plain("false"));
    assert_eq!(fingerprint(vec![("host", text("localhost"))]), "ldap:localhost:389");
    assert_eq!(fingerprint(vec![("host", text("a")), tls(), skip()]), "ldap:a:636");
    let start = || ("startTLS", plain("true"));
    assert_eq!(fingerprint(vec![("host", text("a")), tls(), skip(), start()]), "ldap:a:389");
    for (host, expected) in [
        ("b:1636", "ldap:b:1636"),
        ("  A ", "ldap:a:636"),
        ("[::1]", "ldap:[::1]:636"),
        ("fe80::1", "ldap:[fe80::1]:636"),
        ("[::1]:3", "ldap:[::1]:3"),
    ] {
        assert_eq!(fingerprint(vec![("host", text(host)), tls(), skip()]), expected);
    }
}

fn fingerprint(config: Node) -> String {
    let (connector, problems) = read(config);
    let Some(connector) = connector else { panic!("{problems:?}") };
    let Fingerprint::Upstream(fingerprint) = connector.fingerprint else {
        panic!("one for everybody")
    };
    fingerprint
}

#[test]
fn a_failover_host_signs_nobody_out_and_another_directory_everybody() {
    let hosts = |hosts: &str| ("host", text(hosts));
    let before = fingerprint(config(vec![hosts("localhost:1")]));
    let same = |config: Node| fingerprint(config) == before;
    assert!(same(config(vec![hosts("localhost:1, localhost:2")])), "a host at the end");
    let list = list(vec![text("LOCALHOST:1"), text("127.0.0.1:2"), text("127.0.0.1:3")]);
    assert!(same(without(config(vec![("hosts", list)]), "host")), "written as a list");
    let search = |key, value| {
        config(vec![hosts("localhost:1"), ("userSearch", user_search(vec![(key, text(value))]))])
    };
    assert!(same(search("baseDN", "OU=People, dc=example, dc=org")), "the same name");
    assert!(same(search("emailAttr", "email")), "not part of the identity");
    assert!(!same(config(vec![hosts("localhost:2, localhost:1")])), "another first host");
    assert!(!same(search("baseDN", "ou=Other,dc=example,dc=org")), "another base");
    assert!(!same(search("idAttr", "entryUUID")), "another id");
}

#[test]
fn hosts_may_be_a_list_but_not_both() {
    let hosts = || ("hosts", list(vec![text("localhost:1"), text("127.0.0.1:2")]));
    let (connector, problems) = read(config(vec![hosts()]));
    assert!(connector.is_none());
    assert!(problems[0].contains("hosts: cannot be given together with host"), "{problems:?}");
    let (connector, problems) = read(without(config(vec![hosts()]), "host"));
    assert!(connector.is_some(), "{problems:?}");
}

#[test]
fn the_older_way_of_naming_a_matcher_works_with_a_warning() {
    let groups = |extra: Vec<(&'static str, Node)>| {
        let mut entries = vec![("baseDN", text("ou=g")), ("nameAttr", text("cn"))];
        entries.extend(extra);
        read(config(vec![("groupSearch", map(entries))]))
    };
    let older = || vec![("userAttr", text("DN")), ("groupAttr", text("member"))];
    let (connector, problems) = groups(older());
    assert!(connector.is_some());
    assert!(problems[0].contains("userAttr: is deprecated, use userMatchers"), "{problems:?}");
    let (connector, problems) = groups(vec![("userMatchers", list(vec![]))]);
    assert!(connector.is_some_and(|_| problems[0].contains("userMatchers: is empty")));
    let mut both = older();
    let matcher = map(vec![("userAttr", text("DN")), ("groupAttr", text("member"))]);
    both.push(("userMatchers", list(vec![matcher])));
    let (connector, problems) = groups(both);
    assert!(connector.is_some());
    assert!(problems[0].contains("is ignored, because userMatchers is given"), "{problems:?}");
}

/// RFC 4515 section 3; the rule is LDAP_MATCHING_RULE_IN_CHAIN of Active Directory.
#[test]
fn a_group_attribute_may_name_a_matching_rule() {
    let groups = |attribute: &str| {
        let matcher = map(vec![("userAttr", text("DN")), ("groupAttr", text(attribute))]);
        let entries = vec![
            ("baseDN", text("ou=g")),
            ("nameAttr", text("cn")),
            ("userMatchers", list(vec![matcher])),
        ];
        read(config(vec![("groupSearch", map(entries))]))
    };
    for good in [
        "member",
        "member:1.2.840.113556.1.4.1941:",
        "member:caseExactMatch:",
        "member:dn:2.5.13.2:",
    ] {
        let (connector, problems) = groups(good);
        assert!(connector.is_some() && problems.is_empty(), "{good}: {problems:?}");
    }
    for bad in
        ["member:", "member:1.2", ":1.2.3:", "member:a b:", "member::", "a:b:c:", "m)(uid=*:1.2:"]
    {
        let (connector, problems) = groups(bad);
        assert!(connector.is_none(), "{bad}");
        assert!(problems[0].contains("groupAttr: "), "{bad}: {problems:?}");
    }
}

#[test]
fn one_name_has_one_canonical_form() {
    let (connector, _) = read(config(vec![]));
    let LoginMethod::Password(method) = connector.unwrap().login_method else {
        panic!("it is a password")
    };
    let forms = ["josé pérez", " José  PÉREZ ", "JOSE\u{301} PE\u{301}REZ", "ｊｏｓé pérez"];
    for form in forms {
        // Active Directory ignores accents (MS-ADTS section 6.5).
        assert_eq!(method.canonical(form), "jose perez");
    }
    assert_ne!(method.canonical("josee"), method.canonical("jose"));
}

#[tokio::test]
async fn invalid_credentials_are_refused_without_a_directory_request() {
    let (connector, _) = read(config(vec![]));
    let LoginMethod::Password(method) = connector.unwrap().login_method else {
        panic!("it is a password")
    };
    for (login, password) in [
        ("jane", ""),
        ("", "x"),
        ("  ", "x"),
        ("ja\0ne", "x"),
        (&*"j".repeat(10_000), "x"),
        ("jane", &*"x".repeat(1_000_000)),
    ] {
        let mut trace = Trace::default();
        let login =
            method.login(login, &Secret::new(password), LoginScopes::default(), &mut trace).await;
        assert!(matches!(login, Ok(LoginOutcome::Refused(Refusal::BadCredentials))), "{login:?}");
        assert!(trace.steps()[0].text.starts_with("refused before any request"));
    }
}

#[tokio::test]
async fn a_name_that_nobody_can_have_is_refused_by_a_diagnosis_too() {
    let (connector, _) = read(config(vec![]));
    let LoginMethod::Password(method) = connector.unwrap().login_method else {
        panic!("it is a password")
    };
    for (login, expected) in [
        (" ", "the name is empty"),
        ("ja\0ne", "the name contains a NUL character"),
        (&*"j".repeat(10_000), "the name is too long"),
    ] {
        let diagnosis = method.diagnose(login, &mut Trace::default()).await;
        let Ok(AccountDiagnosis::Refused { reason }) = diagnosis else { panic!("{diagnosis:?}") };
        assert_eq!(reason, expected);
    }
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_unavailable_with_its_name() {
    let (connector, _) = read(config(vec![]));
    let LoginMethod::Password(method) = connector.unwrap().login_method else {
        panic!("it is a password")
    };
    let mut trace = Trace::default();
    let login = method.login("jane", &Secret::new("x"), LoginScopes::default(), &mut trace).await;
    let diagnosis = method.diagnose("jane", &mut trace).await;
    for unavailable in [login.unwrap_err(), diagnosis.unwrap_err()] {
        assert!(
            matches!(&unavailable, ConnectorError::Unavailable { upstream, .. } if upstream == "ldap")
        );
        assert!(unavailable.cause().contains("127.0.0.1:1: cannot connect"), "{unavailable}");
        assert!(unavailable.cause().contains("nothing listens on this port"), "{unavailable}");
    }
    assert_eq!(trace.steps()[0].text, "a new connection to 127.0.0.1:1 (no TLS)");
}
