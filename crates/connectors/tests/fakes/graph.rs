//! A fake of Microsoft: a token endpoint and the Graph API with one user.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::web::{Reply, Request, Web};

pub const TOKEN: &str = "/contoso.example/oauth2/v2.0/token";
pub const MEMBERS: &str = "/v1.0/me/getMemberGroups";
pub const NAMES: &str = "/v1.0/directoryObjects/getByIds";

#[derive(Default)]
pub struct Directory {
    user: Value,
    pub groups: usize,
    pub broken: Option<(&'static str, Reply)>,
}

pub struct Fake {
    pub web: Web,
    pub directory: Arc<Mutex<Directory>>,
}

pub async fn fake() -> Fake {
    let directory = Arc::new(Mutex::new(Directory {
        user: json!({ "id": "7f1c", "displayName": "Jane Doe", "userPrincipalName": "Jane@Example.com",
                      "mailNickname": "jane", "onPremisesSamAccountName": null }),
        groups: 3,
        broken: None,
    }));
    let own = directory.clone();
    let web = Web::start(move |base, request| own.lock().unwrap().response(base, request)).await;
    Fake { web, directory }
}

impl Directory {
    /// Responds with two pages of group ids, and with their names; group 1 has no name.
    fn response(&self, base: &str, request: &Request) -> Reply {
        if let Some((_, reply)) = self.broken.as_ref().filter(|(path, _)| *path == request.path) {
            return reply.clone();
        }
        if request.path == TOKEN {
            return token(request);
        }
        if request.bearer() != Some("the-access-token") {
            return Reply::Json(401, json!({ "error": { "code": "InvalidAuthenticationToken" } }));
        }
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        match request.path.as_str() {
            "/v1.0/me" => Reply::ok(self.user.clone()),
            MEMBERS => {
                let security = body["securityEnabledOnly"].as_bool().unwrap();
                let half = self.groups.div_ceil(2);
                let second = request.query("$skiptoken").is_some();
                let ids = if second { half..self.groups } else { 0..half };
                let name = if security { "sec" } else { "id" };
                let ids: Vec<String> = ids.map(|n| format!("{name}-{n}")).collect();
                let mut page = json!({ "value": ids });
                if !second {
                    page["@odata.nextLink"] = format!("{base}{MEMBERS}?$skiptoken=x").into();
                }
                Reply::ok(page)
            }
            NAMES => {
                let ids = body["ids"].as_array().unwrap();
                if ids.len() > 1000 || body["types"] != json!(["group"]) {
                    return Reply::Json(400, json!({}));
                }
                let name = |id: &Value| match id.as_str().unwrap() {
                    "id-1" => Value::Null,
                    id => id.replace('-', " ").to_uppercase().into(),
                };
                let named = ids.iter().map(|id| json!({ "id": id, "displayName": name(id) }));
                Reply::ok(json!({ "value": named.collect::<Vec<_>>() }))
            }
            _ => Reply::not_found(),
        }
    }
}

fn token(request: &Request) -> Reply {
    let secret = request.form("client_secret").as_deref() == Some("secret");
    let assertion = request.form("client_assertion").as_deref() == Some("a.b.c")
        && request.form("client_assertion_type").as_deref()
            == Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
        && request.form("client_secret").is_none();
    if !secret && !assertion {
        return Reply::Json(
            401,
            json!({ "error": "invalid_client", "error_description": "AADSTS7000215" }),
        );
    }
    let good = match request.form("grant_type").as_deref() {
        Some("authorization_code") => {
            request.form("code_verifier").is_some() && request.form("code").as_deref() == Some("c")
        }
        _ => request.form("refresh_token").as_deref() == Some("refresh-0"),
    };
    match good {
        false => Reply::Json(400, json!({ "error": "invalid_grant" })),
        true => Reply::ok(json!({ "access_token": "the-access-token", "token_type": "Bearer",
                                  "refresh_token": "refresh-0", "expires_in": 3599 })),
    }
}
