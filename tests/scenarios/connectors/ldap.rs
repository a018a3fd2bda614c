//! Jane has her account in the company's LDAP directory (threats.md G).

use std::process::Command;

use serde_json::json;

use crate::world::{RelyingParty, Server, World, claims, slapd};

/// A name is put into `(&PEOPLE(uid=NAME))`, so that an injected filter has something to break out of.
const PEOPLE: &str = "(objectClass=inetOrgPerson)";
const JANE: &str = "uid=jane,ou=People,dc=example,dc=org";

/// `host` and what makes the connection safe, with the authority in `ca`.
fn safe_at(host: &str, ca: &slapd::Slapd) -> String {
    format!("host: {host}\n    rootCA: {}", ca.file("ca.pem").display())
}

/// A connector as most configurations have it: a service account searches, groups by `member`,
/// and groups of groups.
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

/// The section `connectors` with this directory over LDAPS, called "Directory".
pub fn connector(directory: &slapd::Slapd) -> String {
    let reached = safe_at(&format!("127.0.0.1:{}", directory.tls_port), directory);
    format!("connectors:\n{}", connector_at("ldap", "Directory", &reached))
}

/// Straight to the connector `ldap`, past the page with the choice.
pub async fn groups_of(server: &Server, app: &RelyingParty, login: &str) -> serde_json::Value {
    let mut person = server.browser();
    let request = app.auth_request_with("openid groups", &[("connector_id", "ldap")]);
    let auth_response = person.logs_in(&request, login, slapd::PASSWORD).await;
    claims(app.redeems(&request, &auth_response).await.id_token())["groups"].clone()
}

#[tokio::test]
async fn ldap_jane_signs_in_over_tls_and_start_tls_with_groups_as_they_are_spelled() {
    let Some(directory) = slapd::Slapd::start() else { return };
    let tls = safe_at(&format!("127.0.0.1:{}", directory.tls_port), &directory);
    let start = safe_at(&format!("localhost:{}", directory.port), &directory);
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
        let told = claims(response.id_token());
        assert_eq!(
            (&told["email"], &told["name"]),
            (&json!("jane@example.org"), &json!("Jane Doe"))
        );
        // "everybody" is three groups away, and its way back to "admins" is a loop.
        assert_eq!(told["groups"], json!(["admins", "developers", "staff", "everybody"]));
        assert!(
            decoded_subject(&told).contains(user),
            "Dex's `sub`: user id and connector id, {told}"
        );
    }
    // A name and a group full of what LDAP filters and distinguished names are written with.
    assert_eq!(groups_of(&server, &app, "zoë (ops) *").await, json!(["a (group), with: *"]));
    assert_no_bind_in_clear(&directory.log());
}

/// `sub` is base64 of a protocol buffer: the user id, then the connector id.
fn decoded_subject(told: &serde_json::Value) -> String {
    use base64::Engine;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    String::from_utf8(engine.decode(told["sub"].as_str().unwrap()).unwrap()).unwrap()
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
            assert!(safe.contains(&connection(line)), "a bind in clear: {line}");
            binds += 1;
        }
    }
    assert!(binds > 0, "the log of slapd tells of binds:\n{log}");
}

/// Threat 88: whoever stands in the middle with another certificate hears no password.
#[tokio::test]
async fn ldap_a_directory_with_another_certificate_hears_nothing() {
    let Some(directory) = slapd::Slapd::start() else { return };
    let Some(honest) = slapd::Slapd::start() else { return };
    let start = safe_at(&format!("localhost:{}", directory.port), &honest);
    let connectors = format!(
        "connectors:\n{}",
        connector_at("ldap", "Directory", &format!("{start}\n    startTLS: true"))
    );
    let server = World::new().with(&connectors).start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    jane.opens(app.auth_request_with("openid", &[("connector_id", "ldap")]).url).await;
    let page = jane.signs_in("jane", slapd::PASSWORD).await;
    // A certificate of somebody else does not get better by waiting.
    assert_eq!(page.status, 502, "{}", page.text());
    assert!(page.header("retry-after").is_none());
    assert!(!directory.log().contains(" BIND "), "{}", directory.log());
}

/// Threat 84 (RFC 4513 section 5.1.2, CVE-2017-14623): this server answers success to an empty one.
#[tokio::test]
async fn ldap_an_empty_password_is_refused_though_the_directory_would_welcome_it() {
    let Some(directory) = slapd::Slapd::start() else { return };
    let server = World::new().with(&connector(&directory)).start().await;
    let (mut mallory, app) = (server.browser(), server.relying_party("example-app"));
    assert!(directory.welcomes(JANE, ""), "the trap is set");
    let asked_so_far = directory.log().len();

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
    let asked = directory.log().split_off(asked_so_far);
    assert!(!asked.contains(" BIND "), "refused before anything was asked: {asked}");
}

/// Threat 85 (CVE-2026-44671, CVE-2026-55770): each of these, put into a filter as it is, would be
/// Jane, and the password given is hers.
#[tokio::test]
async fn ldap_a_name_that_is_a_filter_is_only_a_name() {
    let Some(directory) = slapd::Slapd::start() else { return };
    let server = World::new().with(&connector(&directory)).start().await;
    let (mut mallory, app) = (server.browser(), server.relying_party("example-app"));
    mallory.opens(app.auth_request_with("openid", &[("connector_id", "ldap")]).url).await;
    let form = mallory.page().form_with("password").unwrap();
    let long = "j".repeat(10_000);
    let alert = |page: &crate::world::Page| page.all("[role=alert]").join(" ");

    let wrong = mallory.submits(form.clone().fill("login", "jane").fill("password", "no")).await;
    let told = alert(wrong);
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
        assert_eq!(alert(page), told, "{name:.40?}");
    }
    let as_jane = format!("BIND dn=\"{JANE}\" method=");
    assert_eq!(directory.log().matches(&as_jane).count(), 1, "only the wrong password was tried");

    let page = mallory.submits(form.fill("login", "jane").fill("password", slapd::PASSWORD)).await;
    assert!(page.form_with("approval").is_some(), "the real one comes in: {}", page.text());
}

/// Threats 87 and 92: what the directory knows about an account is told to its owner only.
#[tokio::test]
async fn ldap_jane_is_told_what_is_the_matter_with_her_account_and_mallory_is_not() {
    let Some(directory) = slapd::Slapd::start() else { return };
    let server = World::new().with(&connector(&directory)).start().await;
    let (mut person, app) = (server.browser(), server.relying_party("example-app"));
    person.opens(app.auth_request_with("openid", &[("connector_id", "ldap")]).url).await;
    let unknown = person.signs_in("nobody", slapd::PASSWORD).await.all("[role=alert]");

    for (login, told) in [
        ("expired", "has expired"),
        ("reset", "has expired"),
        ("locked", "is locked"),
        ("off", "is disabled"),
    ] {
        let page = person.signs_in(login, slapd::PASSWORD).await;
        assert_eq!(page.status, 401, "{login}: {}", page.text());
        assert!(page.all("[role=alert]").join(" ").contains(told), "{login}: {}", page.text());
    }
    // Two entries answer to "twin"; which of them would it be?
    for (login, password) in [("twin", slapd::PASSWORD), ("off", "wrong"), ("jane", "wrong")] {
        let page = person.signs_in(login, password).await;
        assert_eq!((page.status, page.all("[role=alert]")), (401, unknown.clone()), "{login}");
    }
}

#[tokio::test]
async fn ldap_jane_chooses_her_directory_among_the_ways_to_sign_in() {
    let Some(directory) = slapd::Slapd::start() else { return };
    let server = World::new().with(&connector(&directory)).start().await;
    let (mut jane, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid");
    let page = jane.opens(&request.url).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.all("a.way").len(), 2, "{}", page.text());

    // The wrong door first: she comes back to the choice, and in by the other.
    jane.clicks("Email").await;
    jane.clicks("Other ways").await;
    jane.clicks("Directory").await;
    assert_eq!(jane.page().all("label"), ["Username", "Password"]);
    jane.signs_in("jane", slapd::PASSWORD).await;
    jane.approves().await;
    jane.auth_response();

    // Next time her own door is the first.
    jane.opens(app.auth_request_with("openid", &[("prompt", "login")]).url).await;
    assert!(jane.page().all("a.way")[0].contains("Directory"), "{:?}", jane.page().all("a.way"));
}

/// "Login works, groups are empty" ends here (design.md 5).
#[test]
fn ldap_an_administrator_asks_why_jane_has_her_groups() {
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

    let (found, said) = check("jane");
    assert!(found, "{said}");
    for expected in [
        "filter (&(objectClass=inetOrgPerson)(uid=jane))",
        JANE,
        "TLS, certificate verified",
        "group \"admins\": direct",
        "group \"staff\": nested 1 deep",
        "cn=everybody,ou=Groups,dc=example,dc=org",
        "jane@example.org",
    ] {
        assert!(said.contains(expected), "no {expected:?} in\n{said}");
    }
    let (found, said) = check("jan*");
    assert!(!found && said.contains("(uid=jan\\2a)"), "{said}");
    let (found, said) = check("off");
    assert!(!found && said.contains("userAccountControl"), "{said}");
    assert!(!said.contains("service-password"), "{said}");
}
