//! A fake of GitHub with a few users: the authorization page, the token endpoint, and the part of the REST API that the
//! connector uses for a user's profile, with GitHub's pagination, scopes, rate limits and organization restrictions.
//!
//! Responses have the complete shape of GitHub's published OpenAPI description and are recorded, so that they can be
//! compared with it. The system tests include this file with `#[path]`, together with `web.rs`. The API is served at
//! `/`, as at api.github.com, and at `/api/v3`, as on an Enterprise Server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::web::{Reply, Request, Shown, Web};

#[path = "github/api.rs"]
mod api;
#[path = "github/authorize.rs"]
mod authorize;
#[path = "github/shapes.rs"]
mod shapes;

pub const CLIENT: &str = "Iv1.0123456789abcdef";
pub const SECRET: &str = "a github secret";

pub struct GitHub {
    pub web: Web,
    state: Arc<Mutex<State>>,
}

#[derive(Clone)]
pub struct Person {
    pub id: u64,
    pub login: String,
    pub name: Option<String>,
    pub public_email: Option<String>,
    pub emails: Vec<Email>,
    /// Memberships, all private.
    pub orgs: Vec<String>,
    pub teams: Vec<Team>,
    pub suspended: bool,
}

#[derive(Clone)]
pub struct Email {
    pub email: String,
    pub primary: bool,
    pub verified: bool,
}

#[derive(Clone)]
pub struct Team {
    pub org: String,
    pub name: String,
    pub slug: String,
}

/// How an organization restricts access by applications.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OrgRestriction {
    /// The API reports no memberships (restricted OAuth apps).
    Shut,
    /// 403 until the token is authorized for single sign-on.
    SingleSignOn,
}

#[derive(Clone, Copy)]
pub enum Limit {
    /// The hourly quota is used up; seconds until it is reset.
    Primary { reset_in: u64 },
    /// Too many concurrent requests, answered with this status; seconds of `Retry-After`, if it is sent.
    Secondary { status: u16, retry_after: Option<u64> },
}

/// One response of the API, for the comparison with the published description.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: String,
    /// In the form of the description, such as `/orgs/{org}/members/{username}`.
    pub path: &'static str,
    pub status: u16,
    /// Null if the response has none.
    pub body: Value,
}

#[derive(Default)]
pub struct State {
    pub people: Vec<Person>,
    pub restrictions: HashMap<String, OrgRestriction>,
    /// The login of the user who is signed in at GitHub in the browser.
    pub signed_in: String,
    /// The registered redirect URI; any other one is refused. `None`: any is accepted.
    pub callback: Option<String>,
    /// Access tokens are valid for eight hours and are issued with a refresh token, as for a GitHub App.
    pub expiring: bool,
    /// Replaces the requested scopes, as users may untick a scope.
    pub granted_scopes: Option<&'static str>,
    /// Maximum number of entries on a page, whatever is requested; 0 is GitHub's own maximum, 100.
    pub page_limit: usize,
    pub limit: Option<Limit>,
    /// Replaces the responses of these paths (without `/api/v3`).
    pub replies: Vec<(&'static str, Reply)>,
    codes: HashMap<String, authorize::Code>,
    tokens: HashMap<String, Token>,
    refresh_tokens: HashMap<String, Token>,
    made: u32,
    recorded: Vec<Recorded>,
}

#[derive(Clone)]
struct Token {
    user: u64,
    scopes: Vec<String>,
}

impl GitHub {
    pub async fn start() -> Self {
        let state = Arc::new(Mutex::new(State::usual()));
        let own = state.clone();
        let web =
            Web::start(move |base, request| own.lock().unwrap().response(base, request)).await;
        Self { web, state }
    }

    /// Serves from a thread of its own, for tests that block theirs.
    pub fn start_apart() -> Self {
        let state = Arc::new(Mutex::new(State::usual()));
        let own = state.clone();
        let web =
            Web::start_apart(move |base, request| own.lock().unwrap().response(base, request));
        Self { web, state }
    }

    /// Serves as an Enterprise Server over TLS; returns its certificate in PEM too.
    pub async fn start_tls(shown: Shown) -> (Self, String) {
        let state = Arc::new(Mutex::new(State::usual()));
        let own = state.clone();
        let response =
            move |base: &str, request: &Request| own.lock().unwrap().response(base, request);
        let (web, pem) = Web::start_tls(shown, response).await;
        (Self { web, state }, pem)
    }

    pub fn set<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    /// Changes the user with this login.
    pub fn person<T>(&self, login: &str, change: impl FnOnce(&mut Person) -> T) -> T {
        self.set(|state| {
            change(state.people.iter_mut().find(|person| person.login == login).unwrap())
        })
    }

    /// The query of the callback after the browser has followed the redirect and the user has approved.
    pub fn visited(&self, url: &url::Url) -> Vec<(String, String)> {
        let query: Vec<_> = url.query_pairs().into_owned().collect();
        let back = self.set(|state| state.authorize(&query));
        url::Url::parse(&back).unwrap().query_pairs().into_owned().collect()
    }

    /// Revokes every token of this user, as "Revoke access" does.
    pub fn revoke(&self, login: &str) {
        let id = self.person(login, |person| person.id);
        self.set(|state| {
            state.tokens.retain(|_, token| token.user != id);
            state.refresh_tokens.retain(|_, token| token.user != id);
        });
    }

    /// Access tokens expire, refresh tokens do not: the state after eight hours.
    pub fn expire(&self) {
        self.set(|state| state.tokens.clear());
    }

    pub fn recorded(&self) -> Vec<Recorded> {
        self.set(|state| state.recorded.clone())
    }

    /// The recorded responses, one JSON object a line: `method`, `path`, `status`, `body`.
    pub fn recorded_lines(&self) -> String {
        let line = |r: &Recorded| {
            let Recorded { method, path, status, body } = r;
            let object = json!({ "method": method, "path": path, "status": status, "body": body });
            format!("{object}\n")
        };
        self.recorded().iter().map(line).collect()
    }

    /// The number of requests to this path of the API.
    pub fn request_count(&self, path: &str) -> usize {
        self.web.requests(path).len() + self.web.requests(&format!("/api/v3{path}")).len()
    }
}

impl State {
    /// jane is in acme (Platform, Ops) and globex (Ops); bob is in no organization.
    fn usual() -> Self {
        let jane = Person::new(42, "jane", "Jane Doe")
            .in_team("acme", "Platform Team", "platform-team")
            .in_team("acme", "ops", "ops")
            .in_team("globex", "ops", "ops");
        let people = vec![jane, Person::new(7, "bob", "Bob")];
        Self { people, signed_in: "jane".to_owned(), ..Self::default() }
    }

    fn response(&mut self, base: &str, request: &Request) -> Reply {
        let path = request.path.strip_prefix("/api/v3").unwrap_or(&request.path);
        if let Some((_, reply)) = self.replies.iter().find(|(other, _)| *other == path) {
            return reply.clone();
        }
        match (request.method.as_str(), path) {
            ("GET", "/login/oauth/authorize") => self.page(request),
            ("POST", "/login/oauth/authorize") => self.decided(request),
            ("POST", "/login/oauth/access_token") => self.token(request),
            _ => self.api(base, path, request),
        }
    }

    fn random(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}{:016}", self.made)
    }
}

impl Person {
    /// A user with one verified address.
    pub fn new(id: u64, login: &str, name: &str) -> Self {
        let email = Email { email: format!("{login}@example.com"), primary: true, verified: true };
        Self {
            id,
            login: login.to_owned(),
            name: Some(name.to_owned()),
            public_email: None,
            emails: vec![email],
            orgs: Vec::new(),
            teams: Vec::new(),
            suspended: false,
        }
    }

    pub fn in_org(mut self, org: &str) -> Self {
        if !self.orgs.iter().any(|own| own == org) {
            self.orgs.push(org.to_owned());
        }
        self
    }

    pub fn in_team(mut self, org: &str, name: &str, slug: &str) -> Self {
        let [org, name, slug] = [org, name, slug].map(str::to_owned);
        self = self.in_org(&org);
        self.teams.push(Team { org, name, slug });
        self
    }

    pub fn with_email(mut self, email: &str, primary: bool, verified: bool) -> Self {
        self.emails.push(Email { email: email.to_owned(), primary, verified });
        self
    }
}
