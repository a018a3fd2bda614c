//! Service accounts without a key file: by the metadata server of the machine, and by workload identity federation.

use countersign_core::Connector;
use serde_json::{Value, json};

use crate::google::{ACCOUNT, keys};
use crate::oidc::login;
use crate::provider::Provider;
use crate::steps::{Keys, accepted, broken, configured, replaced, sound};
use crate::tree::{map, text};
use crate::web::{Reply, Request};

const METADATA: &str = "/computeMetadata/v1/instance/service-accounts/default/";

async fn google() -> Provider {
    let provider = Provider::start().await;
    provider.claims(|claims| {
        claims.insert("hd".into(), json!("example.com"));
    });
    provider.apis(response);
    provider
}

fn response(request: &Request) -> Option<Reply> {
    let token = |token: &str| Reply::ok(json!({ "access_token": token, "expires_in": 600 }));
    let group = |name: &str| json!({ "groups": [{ "email": name }] });
    let impersonate = format!("/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken");
    let sign = format!("/v1/projects/-/serviceAccounts/{ACCOUNT}:signJwt");
    Some(match request.path.strip_prefix(METADATA) {
        Some(_) if request.headers.get("metadata-flavor").map(String::as_str) != Some("Google") => {
            Reply::Json(403, json!({}))
        }
        Some("token") => token(request.query("scopes").unwrap().rsplit('/').next().unwrap()),
        Some("email") => Reply::Text(200, "application/text", ACCOUNT.to_owned()),
        Some(_) => return None,
        None => match (request.path.as_str(), request.bearer()) {
            ("/v1/token", _) => {
                assert_eq!(request.form("subject_token").unwrap(), "projected");
                assert_eq!(request.form("audience").unwrap(), "//iam/pool");
                token(request.form("scope").unwrap().rsplit('/').next().unwrap())
            }
            (path, Some("cloud-platform")) if path == impersonate => {
                Reply::ok(json!({ "accessToken": "cloud-identity.groups.readonly" }))
            }
            (path, Some("cloud-platform")) if path == sign => {
                let body: Value = serde_json::from_str(&request.body).unwrap();
                let claims: Value =
                    serde_json::from_str(body["payload"].as_str().unwrap()).unwrap();
                assert_eq!(claims["iss"], ACCOUNT);
                assert_eq!(claims["sub"], "admin@example.com");
                assert_eq!(claims["aud"], "https://oauth2.googleapis.com/token");
                Reply::ok(json!({ "keyId": "k", "signedJwt": "signed.by.iam" }))
            }
            ("/sa", _) => {
                assert_eq!(request.form("assertion").as_deref(), Some("signed.by.iam"));
                token("as admin")
            }
            ("/admin/directory/v1/groups", Some("as admin")) => Reply::ok(group("dir@example.com")),
            (
                "/v1/groups/-/memberships:searchDirectGroups",
                Some("cloud-identity.groups.readonly"),
            ) => {
                Reply::ok(json!({ "memberships": [{ "groupKey": { "id": "cloud@example.com" } }] }))
            }
            _ => return None,
        },
    })
}

fn directory() -> Keys {
    vec![("domainToAdminEmail", map(vec![("*", text("admin@example.com"))]))]
}

fn cloud() -> Keys {
    vec![("groupsSource", text("cloudidentity"))]
}

fn connector(provider: &Provider, with: Keys) -> Connector {
    sound("google", replaced(keys(provider), with))
}

async fn groups(provider: &Provider, keys: Keys) -> Vec<String> {
    accepted(login(provider, &connector(provider, keys)).await).identity.groups
}

#[tokio::test]
async fn the_machines_own_account_reads_groups_in_both_ways() {
    let provider = google().await;
    assert_eq!(groups(&provider, cloud()).await, ["cloud@example.com"]);
    assert_eq!(groups(&provider, directory()).await, ["dir@example.com"]);
}

#[tokio::test]
async fn a_machine_without_a_metadata_server_is_reported() {
    let provider = google().await;
    provider.apis(|_| None);
    let cause = broken(login(&provider, &connector(&provider, cloud())).await);
    assert_eq!(cause, "the metadata server answered 404");
}

fn federation(provider: &Provider, change: impl Fn(&mut Value)) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, r#"{"id_token":"projected"}"#).unwrap();
    let url = &provider.web.url;
    let mut content = json!({
        "type": "external_account", "audience": "//iam/pool",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": format!("{url}/v1/token"),
        "service_account_impersonation_url":
            format!("{url}/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"),
        "credential_source": {
            "file": token, "format": { "type": "json", "subject_token_field_name": "id_token" },
        },
    });
    change(&mut content);
    let file = folder.path().join("federation.json");
    std::fs::write(&file, content.to_string()).unwrap();
    let path = file.to_str().unwrap().to_owned();
    (folder, path)
}

#[tokio::test]
async fn a_federated_workload_reads_groups_in_both_ways_and_also_without_impersonation() {
    let provider = google().await;
    let (_folder, file) = federation(&provider, |_| {});
    let with = |mut keys: Keys, file: &str| {
        keys.push(("serviceAccountFilePath", text(file)));
        keys
    };
    assert_eq!(groups(&provider, with(cloud(), &file)).await, ["cloud@example.com"]);
    assert_eq!(groups(&provider, with(directory(), &file)).await, ["dir@example.com"]);
    let (_other, bare) = federation(&provider, |content| {
        content["service_account_impersonation_url"] = Value::Null;
    });
    assert_eq!(groups(&provider, with(cloud(), &bare)).await, ["cloud@example.com"]);
    let cause = broken(login(&provider, &connector(&provider, with(directory(), &bare))).await);
    assert!(cause.contains("names no service account"), "{cause}");
}

#[tokio::test]
async fn credentials_that_are_not_understood_do_not_start_and_are_not_repeated() {
    let provider = google().await;
    for (change, expected) in [
        (json!({ "type": "authorized_user", "client_secret": "hush" }), "expected service_account"),
        (json!({ "credential_source": { "url": "http://x/hush" } }), "is not a file"),
        (json!({ "audience": null }), "lacks audience"),
        (json!({ "type": "service_account" }), "lacks client_email"),
        (
            json!({ "type": "service_account", "client_email": "a@b", "private_key": "hush",
                 "private_key_id": "k" }),
            "private RSA key",
        ),
    ] {
        let (_folder, file) = federation(&provider, |content| {
            content.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        });
        let with = replaced(cloud(), vec![("serviceAccountFilePath", text(&file))]);
        let (connector, problems) = configured("google", replaced(keys(&provider), with));
        assert!(connector.is_none());
        assert!(problems[0].contains(expected) && !problems[0].contains("hush"), "{problems:?}");
    }
}
