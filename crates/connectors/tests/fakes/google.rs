//! A fake of Google: OpenID Connect with the claim `hd`, access tokens for a service account, and the two APIs that
//! return groups.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use countersign_jose::{Algorithm, Expected, KeyPair, Typ, Verifiers};
use serde_json::{Value, json};

use super::provider::{Provider, now};
use super::web::{Reply, Request};

pub const ACCOUNT: &str = "countersign@project.iam.gserviceaccount.com";
/// Generated once, because that takes long.
static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(Algorithm::RS256).unwrap());
pub const DIRECTORY: &str = "/admin/directory/v1/groups";
pub const CLOUD: &str = "/v1/groups/-/memberships:";

/// The groups of each address; the address may be that of a group.
pub type Members = HashMap<&'static str, Vec<&'static str>>;

/// The user is jane of example.com.
pub struct Google {
    pub provider: Provider,
    /// The key file of a service account that may read groups.
    pub file: String,
    /// Groups returned by the Directory API; those of the Cloud Identity API are separate.
    pub members: Arc<Mutex<Members>>,
    _folder: tempfile::TempDir,
}

impl Google {
    pub async fn start() -> Self {
        let provider = Provider::start().await;
        provider.claims(|claims| {
            claims.insert("hd".into(), json!("example.com"));
        });
        let folder = tempfile::tempdir().unwrap();
        let token_url = format!("{}/sa", provider.web.url);
        let (file, public_jwk) = key_file(folder.path(), &token_url);
        let members = Arc::new(Mutex::new(company()));
        let own = members.clone();
        provider.apis(move |request| match request.path.as_str() {
            "/sa" => Some(service_account(request, &public_jwk, &token_url)),
            DIRECTORY => {
                assert!(request.bearer().unwrap().ends_with(" admin.directory.group.readonly"));
                Some(directory(request, &own.lock().unwrap()))
            }
            path if path.starts_with(CLOUD) => {
                assert_eq!(request.bearer(), Some("for nobody cloud-identity.groups.readonly"));
                Some(cloud(request))
            }
            _ => None,
        });
        Self { provider, file, members, _folder: folder }
    }
}

/// Writes the key file of the service account; returns its path and the public key.
fn key_file(folder: &Path, token_url: &str) -> (String, String) {
    let pair = &*KEY;
    let file = folder.join("key.json");
    let content = json!({
        "type": "service_account", "client_email": ACCOUNT, "private_key_id": pair.kid,
        "private_key": pair.private_key.expose(), "token_uri": token_url,
    });
    std::fs::write(&file, content.to_string()).unwrap();
    (file.to_str().unwrap().to_owned(), pair.public_jwk.clone())
}

/// Verifies the assertion, and returns an access token that names the impersonated administrator.
fn service_account(request: &Request, public_jwk: &str, audience: &str) -> Reply {
    let keys = Verifiers::new(&[public_jwk.to_owned()]).unwrap();
    let expected = Expected {
        issuer: ACCOUNT,
        typ: Typ::Exactly("JWT"),
        now: Some(countersign_core::Timestamp::from_secs(now().cast_signed())),
        leeway: Duration::ZERO,
    };
    let claims = keys.verify(&request.form("assertion").unwrap(), &expected).unwrap();
    assert!(claims.is_for(audience));
    assert_eq!(request.form("grant_type").unwrap(), "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (scope, subject) = (claims.text("scope").unwrap(), claims.text("sub").unwrap_or("nobody"));
    let token = format!("for {subject} {}", scope.rsplit('/').next().unwrap());
    Reply::ok(json!({ "access_token": token, "expires_in": 3600, "token_type": "Bearer" }))
}

/// The groups of a member, two on each page.
fn directory(request: &Request, members: &Members) -> Reply {
    let Some(groups) = members.get(request.query("userKey").unwrap()) else {
        return Reply::Json(
            404,
            json!({ "error": { "code": 404, "message": "Resource Not Found" } }),
        );
    };
    let from: usize = request.query("pageToken").map_or(0, |page| page.parse().unwrap());
    let page: Vec<Value> =
        groups.iter().skip(from).take(2).map(|g| json!({ "email": g, "id": "x" })).collect();
    let mut response = json!({ "kind": "admin#directory#groups", "groups": page });
    if from + 2 < groups.len() {
        response["nextPageToken"] = (from + 2).to_string().into();
    }
    Reply::ok(response)
}

fn company() -> Members {
    HashMap::from([
        ("jane@example.com", vec!["a@example.com", "b@example.com", "c@example.com"]),
        ("a@example.com", vec!["all@example.com", "b@example.com"]),
        ("b@example.com", vec!["ring@example.com"]),
        ("ring@example.com", vec!["b@example.com"]),
        ("c@example.com", vec![]),
    ])
}

fn cloud(request: &Request) -> Reply {
    let query = request.query("query").unwrap();
    assert!(query.starts_with("member_key_id == 'jane@example.com' && "), "{query}");
    let group = |id: &str| json!({ "groupKey": { "id": id }, "group": "groups/1" });
    Reply::ok(match request.query("pageToken") {
        None => json!({ "memberships": [group("x@example.com")], "nextPageToken": "2" }),
        Some("2") => json!({ "memberships": [group("y@example.com"), group("x@example.com")] }),
        Some(_) => json!({}),
    })
}
