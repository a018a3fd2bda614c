//! Google accounts, their domains and their groups.

use std::collections::HashMap;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use countersign_core::Connector;
use countersign_core::connector::{Basis, Refusal};
use countersign_jose::{Algorithm, Expected, KeyPair, Typ, Verifiers};
use serde_json::{Value, json};

use crate::oidc::login;
use crate::provider::{CLIENT, Provider, SECRET, now};
use crate::story::{
    ALL, CALLBACK, Keys, accepted, broken, configured, current, depart, missing, refresh, refused,
    replaced, sound,
};
use crate::tree::{list, map, text};
use crate::web::{Asked, Reply};

pub const ACCOUNT: &str = "countersign@project.iam.gserviceaccount.com";
/// Made once: it takes a while.
static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(Algorithm::RS256).unwrap());
pub const DIRECTORY: &str = "/admin/directory/v1/groups";
pub const CLOUD: &str = "/v1/groups/-/memberships:";

pub fn keys(provider: &Provider) -> Keys {
    let at = || text(&provider.web.url);
    vec![
        ("clientID", text(CLIENT)),
        ("clientSecret", text(SECRET)),
        ("redirectURI", text(CALLBACK)),
        ("timeout", text("2s")),
        (
            "apiURLs",
            map(vec![
                ("issuer", at()),
                ("directory", at()),
                ("cloudIdentity", at()),
                ("iamCredentials", at()),
                ("token", text(format!("{}/sa", provider.web.url))),
                ("metadata", at()),
            ]),
        ),
    ]
}

fn connector(provider: &Provider, with: Keys) -> Connector {
    sound("google", replaced(keys(provider), with))
}

/// A service account's file beside its public key.
pub fn key_file(folder: &Path, token_url: &str) -> (String, String) {
    let pair = &*KEY;
    let file = folder.join("key.json");
    let content = json!({
        "type": "service_account", "client_email": ACCOUNT, "private_key_id": pair.kid,
        "private_key": pair.private_key.expose(), "token_uri": token_url,
    });
    std::fs::write(&file, content.to_string()).unwrap();
    (file.to_str().unwrap().to_owned(), pair.public_jwk.clone())
}

/// Gives a token that names the administrator it is for, if the assertion is sound.
pub fn service_account(asked: &Asked, public_jwk: &str, audience: &str) -> Reply {
    let keys = Verifiers::new(&[public_jwk.to_owned()]).unwrap();
    let expected = Expected {
        issuer: ACCOUNT,
        typ: Typ::Exactly("JWT"),
        now: Some(countersign_core::Timestamp::from_secs(now().cast_signed())),
        leeway: Duration::ZERO,
    };
    let claims = keys.verify(&asked.form("assertion").unwrap(), &expected).unwrap();
    assert!(claims.is_for(audience));
    assert_eq!(asked.form("grant_type").unwrap(), "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (scope, subject) = (claims.text("scope").unwrap(), claims.text("sub").unwrap_or("nobody"));
    let token = format!("for {subject} {}", scope.rsplit('/').next().unwrap());
    Reply::ok(json!({ "access_token": token, "expires_in": 3600, "token_type": "Bearer" }))
}

/// Who is in what, two groups a page.
fn directory(asked: &Asked, members: &HashMap<&'static str, Vec<&'static str>>) -> Reply {
    let Some(groups) = members.get(asked.query("userKey").unwrap()) else {
        return Reply::Json(404, json!({ "error": { "code": 404 } }));
    };
    let from: usize = asked.query("pageToken").map_or(0, |page| page.parse().unwrap());
    let page: Vec<Value> =
        groups.iter().skip(from).take(2).map(|g| json!({ "email": g, "id": "x" })).collect();
    let mut answer = json!({ "kind": "admin#directory#groups", "groups": page });
    if from + 2 < groups.len() {
        answer["nextPageToken"] = (from + 2).to_string().into();
    }
    Reply::ok(answer)
}

fn company() -> HashMap<&'static str, Vec<&'static str>> {
    HashMap::from([
        ("jane@example.com", vec!["a@example.com", "b@example.com", "c@example.com"]),
        ("a@example.com", vec!["all@example.com", "b@example.com"]),
        ("b@example.com", vec!["ring@example.com"]),
        ("ring@example.com", vec!["b@example.com"]),
        ("c@example.com", vec![]),
    ])
}

pub struct World {
    pub provider: Provider,
    file: String,
    _folder: tempfile::TempDir,
}

/// A Google whose Jane is of example.com.
pub async fn world() -> World {
    let provider = Provider::start().await;
    provider.claims(|claims| {
        claims.insert("hd".into(), json!("example.com"));
    });
    let folder = tempfile::tempdir().unwrap();
    let token_url = format!("{}/sa", provider.web.url);
    let (file, public_jwk) = key_file(folder.path(), &token_url);
    provider.apis(move |asked| match asked.path.as_str() {
        "/sa" => Some(service_account(asked, &public_jwk, &token_url)),
        DIRECTORY => {
            assert!(asked.bearer().unwrap().ends_with(" admin.directory.group.readonly"));
            Some(directory(asked, &company()))
        }
        path if path.starts_with(CLOUD) => {
            assert_eq!(asked.bearer(), Some("for nobody cloud-identity.groups.readonly"));
            Some(cloud(asked))
        }
        _ => None,
    });
    World { provider, file, _folder: folder }
}

fn cloud(asked: &Asked) -> Reply {
    let query = asked.query("query").unwrap();
    assert!(query.starts_with("member_key_id == 'jane@example.com' && "), "{query}");
    let group = |id: &str| json!({ "groupKey": { "id": id }, "group": "groups/1" });
    Reply::ok(match asked.query("pageToken") {
        None => json!({ "memberships": [group("x@example.com")], "nextPageToken": "2" }),
        Some("2") => json!({ "memberships": [group("y@example.com"), group("x@example.com")] }),
        Some(_) => json!({}),
    })
}

impl World {
    pub fn with_directory(&self, mut more: Keys) -> Connector {
        more.extend([
            ("serviceAccountFilePath", text(&self.file)),
            ("domainToAdminEmail", map(vec![("*", text("admin@example.com"))])),
        ]);
        connector(&self.provider, more)
    }

    pub fn with_cloud(&self, mut more: Keys) -> Connector {
        more.extend([
            ("serviceAccountFilePath", text(&self.file)),
            ("groupsSource", text("cloudidentity")),
        ]);
        connector(&self.provider, more)
    }
}

#[tokio::test]
async fn jane_is_told_as_dex_would_tell_her_and_her_token_is_kept_as_dex_keeps_it() {
    let World { provider, .. } = world().await;
    let connector = connector(&provider, vec![("hostedDomains", list(vec![text("example.com")]))]);
    assert_eq!(connector.basis, Basis::Upstream(format!("google:{}", provider.web.url)));
    let url = depart(&connector, ALL).await.unwrap().url;
    for part in
        ["scope=openid+profile+email&", "hd=example.com", "access_type=offline", "prompt=consent"]
    {
        assert!(url.as_str().contains(part), "{part} in {url}");
    }
    let jane = accepted(login(&provider, &connector).await);
    assert_eq!(jane.identity.user_id, "1234");
    assert_eq!(jane.identity.username, "Jane Doe");
    assert_eq!(jane.identity.preferred_username, "", "as in Dex");
    assert_eq!(jane.identity.email, "jane@example.com");
    assert!(jane.identity.email_verified && jane.identity.groups.is_empty());
    assert_eq!(jane.upstream.unwrap().expose(), "refresh-0");
}

/// Threat 96.
#[tokio::test]
async fn threat_96_the_domain_is_the_tokens_and_not_the_requests() {
    for (hd, welcome) in [
        (json!("example.com"), true),
        (json!("EXAMPLE.com"), true),
        (json!("other.com"), false),
        (json!("example.com.evil.com"), false),
        (json!(""), false),
        (json!(["example.com"]), false),
        (Value::Null, false),
    ] {
        let World { provider, .. } = world().await;
        let said = hd.to_string();
        provider.claims(move |claims| {
            claims.insert("hd".into(), hd.clone());
        });
        let two = list(vec![text("example.com"), text("example.org")]);
        let connector = connector(&provider, vec![("hostedDomains", two)]);
        assert!(depart(&connector, ALL).await.unwrap().url.as_str().contains("hd=*"));
        let login = login(&provider, &connector).await;
        if welcome {
            accepted(login);
        } else {
            let required = vec!["example.com".to_owned(), "example.org".to_owned()];
            assert_eq!(refused(login), Refusal::NotInRequiredGroup { required }, "{said}");
        }
    }
}

#[tokio::test]
async fn a_refresh_reads_domain_and_groups_anew_and_keeps_the_name() {
    let world = world().await;
    let connector = world.with_directory(vec![("hostedDomains", list(vec![text("example.com")]))]);
    let jane = accepted(login(&world.provider, &connector).await);
    world.provider.claims(|claims| {
        claims.insert("hd".into(), json!("example.com"));
        claims.remove("name");
    });
    let again = current(refresh(&connector, &jane, ALL).await);
    assert_eq!(again.identity, jane.identity);
    assert_eq!(again.upstream.unwrap().expose(), "refresh-0");
    world.provider.claims(|claims| {
        claims.remove("hd");
    });
    assert!(missing(refresh(&connector, &jane, ALL).await).contains("example.com"));
    world.provider.forget_refresh_tokens();
    assert!(missing(refresh(&connector, &jane, ALL).await).contains("invalid_grant"));
    world.provider.set(|b| b.replies = vec![("/token", Reply::Json(500, json!({})))]);
    assert!(broken(refresh(&connector, &jane, ALL).await).contains("500"));
}

#[tokio::test]
async fn each_domain_has_its_administrator() {
    let world = world().await;
    let admins =
        map(vec![("Example.com", text("boss@example.com")), ("other.com", text("o@other.com"))]);
    let keys = vec![("domainToAdminEmail", admins), ("serviceAccountFilePath", text(&world.file))];
    let own = connector(&world.provider, keys);
    accepted(login(&world.provider, &own).await);
    assert!(world.provider.web.asked(DIRECTORY)[0].bearer().unwrap().contains("boss@example.com"));
    let keys = vec![
        ("domainToAdminEmail", map(vec![("other.com", text("o@other.com"))])),
        ("serviceAccountFilePath", text(&world.file)),
    ];
    let cause = broken(login(&world.provider, &connector(&world.provider, keys)).await);
    assert!(cause.contains("no administrator for example.com"), "{cause}");
}

#[tokio::test]
async fn mistakes_in_the_configuration_are_told() {
    let world = world().await;
    let World { provider, file, .. } = &world;
    for (with, expected) in [
        (vec![("groups", list(vec![text("g@example.com")]))], "groups: lets everybody in"),
        (vec![("serviceAccountFilePath", text(file))], "domainToAdminEmail: is missing"),
        (vec![("groupsSource", text("ldap"))], "groupsSource: found \"ldap\""),
        (vec![("serviceAccountFilePath", text("/no/such"))], "cannot read /no/such"),
        (vec![("domainToAdminEmail", map(vec![("*", text("admin"))]))], "found \"admin\""),
        (vec![("clientSecret", text(""))], "clientSecret: is empty"),
    ] {
        let (_, problems) = configured("google", replaced(keys(provider), with));
        assert!(problems.iter().any(|p| p.contains(expected)), "{expected} in {problems:?}");
    }
    let old = vec![("adminEmail", text("a@example.com")), ("serviceAccountFilePath", text(file))];
    let (connector, problems) = configured("google", replaced(keys(provider), old));
    assert!(connector.is_some() && problems[0].contains("deprecated"), "{problems:?}");
}
