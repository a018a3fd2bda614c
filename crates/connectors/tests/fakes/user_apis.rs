//! Gitea, Bitbucket Cloud, OpenShift, a generic OAuth 2.0 provider, Keystone and Crowd, with one user and the responses
//! of their documentation. `replies` replaces the response of a path.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::web::{Reply, Request, Web, recorder};

pub const CLIENT: &str = "countersign";
pub const SECRET: &str = "upstream-client-secret";
pub const PASSWORD: &str = "password of jane";
pub const ADMIN_PASSWORD: &str = "password of the administrator";

pub struct Fake {
    pub web: Web,
    pub replies: Arc<Mutex<HashMap<String, Reply>>>,
}

impl Fake {
    async fn start(handler: impl Fn(&str, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let replies = Arc::<Mutex<HashMap<String, Reply>>>::default();
        let own = replies.clone();
        let web = Web::start(move |base, request| {
            let replaced = own.lock().unwrap().get(&request.path).cloned();
            replaced.unwrap_or_else(|| handler(base, request))
        })
        .await;
        Self { web, replies }
    }

    pub fn replies(&self, path: &str, reply: Reply) {
        self.replies.lock().unwrap().insert(path.to_owned(), reply);
    }
}

/// 302 back to the redirect URI with a code.
fn authorize(request: &Request) -> Reply {
    let redirect_uri = request.query("redirect_uri").unwrap();
    let state = request.query("state").unwrap();
    assert!(request.query("code_challenge").is_some(), "PKCE");
    Reply::Redirect(format!("{redirect_uri}?code=c&state={state}"))
}

fn tokens(request: &Request, access: &str) -> Reply {
    let is_valid = match request.form("grant_type").as_deref() {
        Some("authorization_code") => {
            request.form("code").as_deref() == Some("c") && request.form("code_verifier").is_some()
        }
        _ => request.form("refresh_token").as_deref() == Some("r"),
    };
    match is_valid {
        true => Reply::ok(json!({ "access_token": access, "refresh_token": "r",
                                  "token_type": "bearer", "expires_in": 3600 })),
        false => Reply::Json(400, json!({ "error": "invalid_grant" })),
    }
}

/// Requires the access token of [`tokens`].
fn protected(request: &Request, body: Value) -> Reply {
    match request.bearer() {
        Some("access") => Reply::ok(body),
        _ => Reply::Json(401, json!({ "message": "token is required" })),
    }
}

pub async fn gitea() -> Fake {
    Fake::start(|_, request| {
        let reply = gitea_reply(request);
        recorder::record("gitea", request, &reply);
        reply
    })
    .await
}

fn gitea_reply(request: &Request) -> Reply {
    match request.path.as_str() {
        "/login/oauth/authorize" => authorize(request),
        "/login/oauth/access_token" => tokens(request, "access"),
        "/api/v1/user" => protected(
            request,
            json!({ "id": 7, "login": "jane", "login_name": "", "full_name": "Jane Doe",
                    "email": "jane@example.com", "is_admin": false }),
        ),
        "/api/v1/user/teams" if request.query("page") == Some("1") => {
            let team = |name: &str, org: &str| {
                json!({ "id": 1, "name": name, "permission": "write",
                "organization": { "id": 2, "name": org, "username": org, "full_name": "" } })
            };
            protected(
                request,
                json!([team("Owners", "acme"), team("dev", "acme"), team("web", "shop")]),
            )
        }
        "/api/v1/user/teams" => protected(request, json!([])),
        _ => Reply::Json(404, json!({})),
    }
}

pub async fn bitbucket() -> Fake {
    Fake::start(|base, request| match request.path.as_str() {
        "/site/oauth2/authorize" => authorize(request),
        "/site/oauth2/access_token" => tokens(request, "access"),
        "/2.0/user" => protected(
            request,
            json!({ "type": "user", "uuid": "{b0c0}", "username": "jane", "display_name": "Jane Doe",
                    "account_id": "557058:1", "nickname": "jane" }),
        ),
        "/2.0/user/emails" => protected(
            request,
            json!({ "pagelen": 10, "page": 1, "size": 2, "values": [
                { "type": "email", "email": "old@example.com", "is_primary": false, "is_confirmed": true },
                { "type": "email", "email": "jane@example.com", "is_primary": true, "is_confirmed": true },
            ] }),
        ),
        "/2.0/user/permissions/workspaces" => {
            let entry = |slug: &str, permission: &str| json!({ "type": "workspace_membership",
                "permission": permission, "workspace": { "type": "workspace", "slug": slug } });
            let body = match request.query("page") {
                Some("1") => json!({ "pagelen": 1, "values": [entry("acme", "owner")],
                                     "next": format!("{base}/2.0/user/permissions/workspaces?page=2") }),
                _ => json!({ "pagelen": 1, "values": [entry("shop", "member")] }),
            };
            protected(request, body)
        }
        _ => Reply::Json(404, json!({})),
    })
    .await
}

pub async fn openshift() -> Fake {
    Fake::start(|base, request| match request.path.as_str() {
        "/.well-known/oauth-authorization-server" => Reply::ok(json!({
            "issuer": base, "authorization_endpoint": format!("{base}/oauth/authorize"),
            "token_endpoint": format!("{base}/oauth/token"), "scopes_supported": ["user:info"],
            "code_challenge_methods_supported": ["plain", "S256"] })),
        "/oauth/authorize" => authorize(request),
        "/oauth/token" => tokens(request, "access"),
        "/apis/user.openshift.io/v1/users/~" => protected(
            request,
            json!({ "kind": "User", "apiVersion": "user.openshift.io/v1",
                    "metadata": { "name": "jane", "uid": "5f0f" }, "fullName": "Jane Doe",
                    "identities": ["ldap:jane"], "groups": ["admins", "system:authenticated"] }),
        ),
        _ => Reply::Json(404, json!({})),
    })
    .await
}

/// The access token is a JWT, which names one more group.
pub async fn oauth() -> Fake {
    const JWT: &str = "e30.eyJncm91cHMiOlsib2ZfdG9rZW4iLCJhZG1pbnMiXX0.c2ln";
    Fake::start(|_, request| match request.path.as_str() {
        "/authorize" => authorize(request),
        "/token" => tokens(request, JWT),
        "/me" if request.bearer() == Some(JWT) => Reply::ok(json!({
            "id": 1_234_567, "user_name": "jane", "preferred_username": "j", "email": "jane@example.com",
            "email_verified": true, "groups": ["admins", { "name": "dev" }, 5] })),
        _ => Reply::Json(401, json!({})),
    })
    .await
}

pub async fn keystone() -> Fake {
    Fake::start(|_, request| {
        let is_admin =
            request.headers.get("x-auth-token").is_some_and(|token| token == "token-of-admin");
        let is_jane =
            request.headers.get("x-auth-token").is_some_and(|token| token == "token-of-jane");
        let jane = json!({ "id": "a1b2", "name": "jane", "domain_id": "default", "enabled": true,
                           "email": "jane@example.com", "password_expires_at": null });
        let unauthorized =
            Reply::Json(401, json!({ "error": { "code": 401, "title": "Unauthorized" } }));
        match request.path.as_str() {
            "/v3/auth/tokens" => keystone_token(request).unwrap_or(unauthorized),
            "/v3/users/a1b2" if is_admin || is_jane => Reply::ok(json!({ "user": jane })),
            "/v3/users" if is_admin && request.query("name") == Some("jane") => {
                Reply::ok(json!({ "users": [jane] }))
            }
            "/v3/users" if is_admin => Reply::ok(json!({ "users": [] })),
            "/v3/users/a1b2/groups" if is_admin => Reply::ok(json!({ "groups": [
                { "id": "1", "name": "admins", "domain_id": "default", "description": "" },
                { "id": "2", "name": "Dev Team", "domain_id": "default", "description": "" },
            ] })),
            _ if is_admin => Reply::Json(404, json!({ "error": { "code": 404 } })),
            _ => unauthorized,
        }
    })
    .await
}

fn keystone_token(request: &Request) -> Option<Reply> {
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body["auth"]["identity"]["methods"], json!(["password"]));
    let user = &body["auth"]["identity"]["password"]["user"];
    assert_eq!(user["domain"], json!({ "id": "default" }));
    let (token, id) = match (user["name"].as_str()?, user["password"].as_str()?) {
        ("jane", PASSWORD) => ("token-of-jane", "a1b2"),
        ("admin", ADMIN_PASSWORD) => ("token-of-admin", "c3d4"),
        _ => return None,
    };
    let body = json!({ "token": { "methods": ["password"], "user": { "id": id, "name": user["name"],
        "domain": { "id": "default", "name": "Default" } }, "expires_at": "2036-01-01T00:00:00Z" } });
    Some(Reply::With(201, "X-Subject-Token", token.to_owned(), body))
}

pub async fn crowd() -> Fake {
    Fake::start(|_, request| {
        if request.headers.get("authorization").map(String::as_str) != Some("Basic Y291bnRlcnNpZ246dXBzdHJlYW0tY2xpZW50LXNlY3JldA==") {
            return Reply::Text(401, "text/plain", "Application failed to authenticate".to_owned());
        }
        let username = request.query("username").unwrap();
        let jane = json!({ "expand": "attributes", "name": "jane d&e", "key": "32769:5d", "active": true,
            "first-name": "Jane", "last-name": "Doe", "display-name": "Jane Doe", "email": "jane@example.com" });
        let is_jane = username.eq_ignore_ascii_case("jane d&e");
        let failure = |status, reason: &str| Reply::Json(status, json!({ "reason": reason, "message": "" }));
        match request.path.as_str() {
            "/crowd/rest/usermanagement/1/authentication" => {
                let body: Value = serde_json::from_str(&request.body).unwrap();
                match is_jane && body["value"] == PASSWORD {
                    true => Reply::ok(jane),
                    false => failure(400, "INVALID_USER_AUTHENTICATION"),
                }
            }
            "/crowd/rest/usermanagement/1/user" if is_jane => Reply::ok(jane),
            "/crowd/rest/usermanagement/1/user/group/nested" if is_jane => {
                Reply::ok(json!({ "expand": "group", "groups": [{ "name": "crowd-users" }, { "name": "admins" }] }))
            }
            _ => failure(404, "USER_NOT_FOUND"),
        }
    })
    .await
}
