//! A fake of GitLab: a token endpoint whose refresh tokens can be used once, and the API with one user and their
//! groups.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::web::{Reply, Request, Web};

pub const OWNER: &str = "https://gitlab.org/claims/groups/owner";
pub const MAINTAINER: &str = "https://gitlab.org/claims/groups/maintainer";
pub const DEVELOPER: &str = "https://gitlab.org/claims/groups/developer";

#[derive(Default)]
pub struct Instance {
    pub user: Value,
    pub info: Value,
    /// Full paths; the id of a group is its index.
    pub groups: Vec<String>,
    pub levels: Vec<(usize, i64)>,
    /// The number of the refresh token that is valid.
    pub refresh: u32,
    pub broken: Option<(&'static str, Reply)>,
}

pub struct Fake {
    pub web: Web,
    pub instance: Arc<Mutex<Instance>>,
}

pub async fn fake() -> Fake {
    let instance = Arc::new(Mutex::new(Instance {
        user: json!({ "id": 42, "username": "jane", "name": "Jane Doe", "state": "active",
                      "email": "jane@example.com", "confirmed_at": "2020-01-01T00:00:00Z" }),
        info: json!({ "sub": "42", "groups": ["ops", "ops/dev", "web"],
                      OWNER: ["ops"], MAINTAINER: [], DEVELOPER: ["web"] }),
        ..Instance::default()
    }));
    let own = instance.clone();
    let web = Web::start(move |_, request| own.lock().unwrap().response(request)).await;
    Fake { web, instance }
}

impl Instance {
    fn response(&mut self, request: &Request) -> Reply {
        if let Some((_, reply)) = self.broken.as_ref().filter(|(path, _)| *path == request.path) {
            return reply.clone();
        }
        if request.path == "/oauth/token" {
            return self.token(request);
        }
        let bearer = format!("access-{}", self.refresh);
        if request.bearer() != Some(&bearer) && request.bearer() != Some("an old one") {
            return Reply::Json(401, json!({ "error": "invalid_token" }));
        }
        match request.path.as_str() {
            "/api/v4/user" => Reply::ok(self.user.clone()),
            "/oauth/userinfo" => Reply::ok(self.info.clone()),
            "/api/v4/groups" => {
                assert_eq!(request.query("all_available"), Some("false"));
                let page: usize = request.query("page").unwrap().parse().unwrap();
                let all = self.groups.iter().enumerate();
                let entry = |(id, path): (usize, &String)| json!({ "id": id, "full_path": path });
                let entries: Vec<Value> = all.skip((page - 1) * 100).take(100).map(entry).collect();
                Reply::ok(entries.into())
            }
            path => {
                let id = path
                    .strip_prefix("/api/v4/groups/")
                    .and_then(|p| p.strip_suffix("/members/all/42"));
                let level = id.and_then(|id| {
                    self.levels.iter().find(|(group, _)| *group == id.parse::<usize>().unwrap())
                });
                match level {
                    Some((_, level)) => Reply::ok(json!({ "access_level": level })),
                    None => Reply::Json(404, json!({ "message": "404 Not found" })),
                }
            }
        }
    }

    fn token(&mut self, request: &Request) -> Reply {
        let good = match request.form("grant_type").as_deref() {
            Some("authorization_code") => {
                request.form("code_verifier").is_some()
                    && request.form("code").as_deref() == Some("c")
            }
            _ => request.form("refresh_token") == Some(format!("refresh-{}", self.refresh)),
        };
        if !good {
            return Reply::Json(400, json!({ "error": "invalid_grant" }));
        }
        self.refresh += 1;
        Reply::ok(
            json!({ "access_token": format!("access-{}", self.refresh), "token_type": "bearer",
                          "refresh_token": format!("refresh-{}", self.refresh), "expires_in": 7200 }),
        )
    }
}
