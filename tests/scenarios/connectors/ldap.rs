//! The LDAP connector against a real OpenLDAP: login, TLS, injection, errors, groups (threats G).

use std::process::Command;

use serde_json::json;

use crate::world::{RelyingParty, Server, World, claims, slapd};

/// The configured filter is put into `(&PEOPLE(uid=NAME))`, so an injected one has parentheses to close.
const PEOPLE: &str = "(objectClass=inetOrgPerson)";
const JANE: &str = "uid=jane,ou=People,dc=example,dc=org";

/// Lines of `config` for this host with TLS and the certificate authority of `ca`.
fn tls_config(host: &str, ca: &slapd::Slapd) -> String {
    format!("host: {host}\n    rootCA: {}", ca.file("ca.pem").display())
}

/// A typical connector: a service account searches, groups by `member`, nested groups.
fn connector_at(id: &str, name: &str, reached: &str) -> String {
    format!(
        "- type: ldap\n  id: {id}\n  name: {name}\n  config:\n    {reached}\n    timeout: 5s\n    \
         bindDN: cn=service,{suffix}\n    bindPW: service-password\n    userSearch:\n      \
         baseDN: ou=People,{suffix}\n      filter: {PEOPLE}\n      username: uid\n      \
         idAttr: uid\n      emailAttr: mail\n      nameAttr: cn\n    groupSearch:\n      \
         baseDN: ou=Groups,{suffix}\n      nameAttr: cn\n      userMatchers:\n      - userAttr: DN\n        \
         groupAttr: member\n        recursionGroupAttr: member\n",
        suffix = slapd::SUFFIX,
    )
}

/// The section `connectors` with this directory over LDAPS, named "Directory".
pub fn connector(directory: &slapd::Slapd) -> String {
    let reached = tls_config(&format!("127.0.0.1:{}", directory.tls_port), directory);
    format!("connectors:\n{}", connector_at("ldap", "Directory", &reached))
}

/// Logs in at the connector `ldap` directly, without the connector choice.
pub async fn groups_of(server: &Server, app: &RelyingParty, login: &str) -> serde_json::Value {
    let mut person = server.browser();
    let request = app.auth_request_with("openid groups", &[("connector_id", "ldap")]);
    let auth_response = person.logs_in(&request, login, slapd::PASSWORD).await;
    claims(app.redeems(&request, &auth_response).await.id_token())["groups"].clone()
}

#[tokio::test]
async fn ldap_jane_signs_in_over_ldaps_and_starttls_with_her_groups() {
    let Some(directory) = slapd::Slapd::start() else { return };
    let tls = tls_config(&format!("127.0.0.1:{}", directory.tls_port), &directory);
    let start = tls_config(&format!("localhost:{}", directory.port), &directory);
    let connectors = format!(
        "connectors:\n{}{}",
        connector_at("ldap", "Directory", &tls),
        connector_at("start", "The same by StartTLS", &format!("{start}\n    startTLS: true"))
    );
    let server = World::new().with(&connectors).start().await;
    let app = server.relying_party("example-app");

    for (button, user) in
        [("Directory", "jane\u{12}\u{4}ldap"), ("StartTLS", "jane\u{12}\u{5}start")]
    {
        let mut jane = server.browser();
        let request = app.auth_request("openid email profile groups");
        jane.opens(&request.url).await;
        jane.clicks(button).await;
        jane.signs_in("jane", slapd::PASSWORD).await;
        jane.approves().await;
        let response = app.redeems(&request, &jane.auth_response()).await;
        let claims = claims(response.id_token());
        assert_eq!(
            (&claims["email"], &claims["name"]),
            (&json!("jane@example.org"), &json!("Jane Doe"))
        );
        // "everybody" is three groups away; its membership in "admins" is a loop.
        assert_eq!(claims["groups"], json!(["admins", "developers", "staff", "everybody"]));
        assert!(
            decoded_subject(&claims).contains(user),
            "Dex's `sub`: user id and connector id, {claims}"
        );
    }
    // A name and a group with the special characters of LDAP filters and distinguished names.
    assert_eq!(groups_of(&server, &app, "zoë (ops) *").await, json!(["a (group), with: *"]));
    assert_no_bind_in_clear(&directory.log());
}

/// `sub` is base64 of a protocol buffer: the user id, then the connector id.
fn decoded_subject(claims: &serde_json::Value) -> String {
    use base64::Engine;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    String::from_utf8(engine.decode(claims["sub"].as_str().unwrap()).unwrap()).unwrap()
}

fn assert_no_bind_in_clear(log: &str) {
    let connection =
        |line: &str| line.split(' ').find(|w| w.starts_with("conn=")).map(str::to_owned);
    let mut safe = Vec::new();
    let mut binds = 0;
    for line in log.lines() {
        if line.contains("TLS established") {
            safe.push(connection(line));
        }
        if line.contains(" BIND dn=\"") {
            assert!(safe.contains(&connection(line)), "a bind without TLS: {line}");
            binds += 1;
        }
    }
    assert!(binds > 0, "the log of slapd contains binds:\n{log}");
}

/// Threat 88: no password is sent to a server whose certificate does not verify.
#[tokio::test]
async fn ldap_no_password_is_sent_to_a_directory_with_another_certificate() {
    let Some(directory) = slapd::Slapd::start() else { return };
    let Some(honest) = slapd::Slapd::start() else { return };
    let start = tls_config(&format!("localhost:{}", directory.port), &honest);
    let connectors = format!(
        "connectors:\n{}",
        connector_at("ldap", "Directory", &format!("{start}\n    startTLS: true"))
    );
    let server = World::new().with(&connectors).start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    jane.opens(app.auth_request_with("openid", &[("connector_id", "ldap")]).url).await;
    let page = jane.signs_in("jane", slapd::PASSWORD).await;
    // A certificate error is permanent, not temporary.
    assert_eq!(page.status, 502, "{}", page.text());
    assert!(page.header("retry-after").is_none());
    assert!(!directory.log().contains(" BIND "), "{}", directory.log());
}

/// Threat 84 (RFC 4513 section 5.1.2, CVE-2017-14623): this directory accepts an unauthenticated bind.
#[tokio::test]
async fn ldap_an_empty_password_is_refused_before_a_bind() {
    let Some(directory) = slapd::Slapd::start() else { return };
    let server = World::new().with(&connector(&directory)).start().await;
    let (mut mallory, app) = (server.browser(), server.relying_party("example-app"));
    assert!(directory.accepts(JANE, ""), "the directory accepts an empty password");
    let lines_before = directory.log().len();

    mallory.opens(app.auth_request_with("openid", &[("connector_id", "ldap")]).url).await;
    let form = mallory.page().form_with("password").unwrap();
    let req = form.fields.iter().find(|(name, _)| name == "req").unwrap().1.clone();
    for fields in [
        vec![("req", req.as_str()), ("login", "jane"), ("password", "")],
        vec![("req", req.as_str()), ("login", "jane")],
    ] {
        let page = mallory.post_form(&form.action, &fields).await;
        assert_eq!((page.status, page.location()), (401, None), "{}", page.text());
        assert_eq!(page.all("[role=alert]").len(), 1);
    }
    let log = directory.log().split_off(lines_before);
    assert!(!log.contains(" BIND "), "refused before any bind: {log}");
}

/// Threat 85 (CVE-2026-44671, CVE-2026-55770): unescaped in a filter, each of these would match Jane, and the
/// password is hers.
#[tokio::test]
async fn ldap_filter_characters_in_a_login_are_escaped() {
    let Some(directory) = slapd::Slapd::start() else { return };
    let server = World::new().with(&connector(&directory)).start().await;
    let (mut mallory, app) = (server.browser(), server.relying_party("example-app"));
    mallory.opens(app.auth_request_with("openid", &[("connector_id", "ldap")]).url).await;
    let form = mallory.page().form_with("password").unwrap();
    let long = "j".repeat(10_000);
    let alert = |page: &crate::world::Page| page.all("[role=alert]").join(" ");

    let wrong = mallory.submits(form.clone().fill("login", "jane").fill("password", "no")).await;
    let expected = alert(wrong);
    for name in [
        "jan*",
        "*)(uid=jane",
        "nobody)(|(uid=jane)",
        "jane)(!(uid=nobody)",
        "jan\\65",
        "jane\\00",
        "jane\0",
        "jane\0)(uid=*",
        long.as_str(),
    ] {
        let form = form.clone().fill("login", name).fill("password", slapd::PASSWORD);
        let page = mallory.submits(form).await;
        assert_eq!((page.status, page.location()), (401, None), "{name:.40?}: {}", page.text());
        assert_eq!(alert(page), expected, "{name:.40?}");
    }
    let as_jane = format!("BIND dn=\"{JANE}\" method=");
    assert_eq!(directory.log().matches(&as_jane).count(), 1, "only the wrong password was tried");

    let page = mallory.submits(form.fill("login", "jane").fill("password", slapd::PASSWORD)).await;
    assert!(page.form_with("approval").is_some(), "the real name is accepted: {}", page.text());
}

/// Threats 87 and 92: details about an account are shown only after its password was right.
#[tokio::test]
async fn ldap_account_problems_are_shown_only_with_the_right_password() {
    let Some(directory) = slapd::Slapd::start() else { return };
    let server = World::new().with(&connector(&directory)).start().await;
    let (mut person, app) = (server.browser(), server.relying_party("example-app"));
    person.opens(app.auth_request_with("openid", &[("connector_id", "ldap")]).url).await;
    let unknown = person.signs_in("nobody", slapd::PASSWORD).await.all("[role=alert]");

    for (login, message) in [
        ("expired", "has expired"),
        ("reset", "has expired"),
        ("locked", "is locked"),
        ("off", "is disabled"),
    ] {
        let page = person.signs_in(login, slapd::PASSWORD).await;
        assert_eq!(page.status, 401, "{login}: {}", page.text());
        assert!(page.all("[role=alert]").join(" ").contains(message), "{login}: {}", page.text());
    }
    // Two entries match "twin", so neither is accepted.
    for (login, password) in [("twin", slapd::PASSWORD), ("off", "wrong"), ("jane", "wrong")] {
        let page = person.signs_in(login, password).await;
        assert_eq!((page.status, page.all("[role=alert]")), (401, unknown.clone()), "{login}");
    }
}

#[tokio::test]
async fn ldap_jane_chooses_the_directory_among_the_connectors() {
    let Some(directory) = slapd::Slapd::start() else { return };
    let server = World::new().with(&connector(&directory)).start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid");
    let page = jane.opens(&request.url).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.all("a.way").len(), 2, "{}", page.text());

    // After another connector's form she returns to the choice.
    jane.clicks("Email").await;
    jane.clicks("Other ways").await;
    jane.clicks("Directory").await;
    assert_eq!(jane.page().all("label"), ["Username", "Password"]);
    jane.signs_in("jane", slapd::PASSWORD).await;
    jane.approves().await;
    jane.auth_response();

    // Next time the last used connector is first.
    jane.opens(app.auth_request_with("openid", &[("prompt", "login")]).url).await;
    assert!(jane.page().all("a.way")[0].contains("Directory"), "{:?}", jane.page().all("a.way"));
}

/// Diagnoses missing groups after a successful login.
#[test]
fn ldap_check_explains_a_persons_groups() {
    let Some(directory) = slapd::Slapd::start() else { return };
    let world = World::new().with(&connector(&directory));
    let file = world.dir().join("check.yaml");
    std::fs::write(&file, world.yaml()).unwrap();
    let check = |user: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.arg("check").arg(&file).args(["--connector", "ldap", "--user", user]);
        let output = command.env_clear().output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };

    let (found, output) = check("jane");
    assert!(found, "{output}");
    for expected in [
        "filter (&(objectClass=inetOrgPerson)(uid=jane))",
        JANE,
        "TLS, certificate verified",
        "group \"admins\": direct",
        "group \"staff\": nested 1 deep",
        "cn=everybody,ou=Groups,dc=example,dc=org",
        "jane@example.org",
    ] {
        assert!(output.contains(expected), "no {expected:?} in\n{output}");
    }
    let (found, output) = check("jan*");
    assert!(!found && output.contains("(uid=jan\\2a)"), "{output}");
    let (found, output) = check("off");
    assert!(!found && output.contains("userAccountControl"), "{output}");
    assert!(!output.contains("service-password"), "{output}");
}
