//! The REST API: the user of the bearer token, with GitHub's scopes, pagination, rate limits and refusals.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::super::web::{Reply, Request, recorder};
use super::{Limit, OrgRestriction, Person, Recorded, State, Token, shapes};

/// Status, body, and headers in addition to the usual ones.
type ApiResponse = (u16, Value, Vec<(&'static str, String)>);

impl State {
    pub(super) fn api(&mut self, base: &str, path: &str, request: &Request) -> Reply {
        // Pagination links contain the address that was requested.
        let own = format!("{base}{}", request.path.strip_suffix(path).unwrap_or_default());
        let (template, (status, body, mut headers)) = self.respond(&own, path, request);
        let recorded =
            Recorded { method: request.method.clone(), path: template, status, body: body.clone() };
        self.recorded.push(recorded);
        recorder::record_at(template, "github", request, status, &body);
        headers.push(("Content-Type", "application/json; charset=utf-8".to_owned()));
        headers.push(("X-GitHub-Request-Id", "0123:4567:89AB".to_owned()));
        if !headers.iter().any(|(name, _)| *name == "X-RateLimit-Remaining") {
            headers.push(("X-RateLimit-Remaining", "4990".to_owned()));
            headers.push(("X-RateLimit-Reset", (now() + 3600).to_string()));
        }
        Reply::Full(status, headers, if body.is_null() { String::new() } else { body.to_string() })
    }

    fn respond(&self, base: &str, path: &str, request: &Request) -> (&'static str, ApiResponse) {
        let member = path.strip_prefix("/orgs/").and_then(|rest| rest.split_once("/members/"));
        let template = match path {
            "/user" => "/user",
            "/user/emails" => "/user/emails",
            "/user/orgs" => "/user/orgs",
            "/user/teams" => "/user/teams",
            "/meta" => "/meta",
            _ if member.is_some() => "/orgs/{org}/members/{username}",
            _ => return ("/", refusal(404, "Not Found")),
        };
        if !request.headers.contains_key("user-agent") {
            return (template, refusal(403, "Request forbidden by administrative rules."));
        }
        if path == "/meta" {
            return (
                template,
                (200, json!({ "verifiable_password_authentication": false }), vec![]),
            );
        }
        let Some(token) = request.bearer().and_then(|token| self.tokens.get(token)) else {
            let message = match request.bearer() {
                Some(_) => "Bad credentials",
                None => "Requires authentication",
            };
            return (template, refusal(401, message));
        };
        if let Some(limit) = self.limit {
            return (template, limited(limit));
        }
        let person = self.people.iter().find(|person| person.id == token.user).unwrap();
        if person.suspended {
            return (template, refusal(403, "Sorry. Your account was suspended."));
        }
        let may = |scope: &str| token.scopes.iter().any(|own| own == scope);
        let page = |all: Vec<Value>| self.page_of(all, base, request);
        let response = match path {
            "/user" => (200, shapes::user(person), vec![]),
            "/user/emails" if may("user:email") => page(shapes::emails(person)),
            "/user/emails" => refusal(404, "Not Found"),
            "/user/orgs" | "/user/teams" if !may("read:org") => {
                refusal(403, "You need at least read:org scope to list your organizations.")
            }
            "/user/orgs" => {
                let seen = person.orgs.iter().filter(|org| !self.restrictions.contains_key(*org));
                page(seen.map(|org| shapes::org(org)).collect())
            }
            "/user/teams" => {
                let seen =
                    person.teams.iter().filter(|team| !self.restrictions.contains_key(&team.org));
                page(seen.map(shapes::team).collect())
            }
            _ => member.map_or_else(
                || refusal(404, "Not Found"),
                |(org, login)| self.member(base, org, login, person, token),
            ),
        };
        (template, response)
    }

    /// "Check organization membership for a user".
    #[expect(clippy::too_many_arguments, reason = "five beside self")]
    fn member(
        &self,
        base: &str,
        org: &str,
        login: &str,
        person: &Person,
        token: &Token,
    ) -> ApiResponse {
        let is_in = |person: &Person| person.orgs.iter().any(|own| own.eq_ignore_ascii_case(org));
        let outside = || {
            let to = format!("{base}/orgs/{org}/public_members/{login}");
            (302, Value::Null, vec![("Location", to)])
        };
        match self.restrictions.get(org) {
            Some(OrgRestriction::Shut) => return outside(),
            Some(OrgRestriction::SingleSignOn) => {
                let message = "Resource protected by organization SAML enforcement. You must \
                               grant your OAuth token access to this organization.";
                let (status, body, mut headers) = refusal(403, message);
                let to = format!("required; url={base}/orgs/{org}/sso?authorization_request=A");
                headers.push(("X-GitHub-SSO", to));
                return (status, body, headers);
            }
            None => {}
        }
        if !is_in(person) || !token.scopes.iter().any(|own| own == "read:org") {
            return outside();
        }
        match self.people.iter().any(|person| person.login == login && is_in(person)) {
            true => (204, Value::Null, vec![]),
            false => refusal(404, "Not Found"),
        }
    }

    fn page_of(&self, all: Vec<Value>, base: &str, request: &Request) -> ApiResponse {
        let number = |name: &str, or: usize| {
            request.query(name).and_then(|text| text.parse().ok()).unwrap_or(or)
        };
        let most = if self.page_limit == 0 { 100 } else { self.page_limit };
        let (size, page) = (number("per_page", 30).min(most), number("page", 1));
        let last = all.len().div_ceil(size).max(1);
        let path = request.path.strip_prefix("/api/v3").unwrap_or(&request.path);
        let link = |number: usize, rel: &str| {
            format!("<{base}{path}?per_page={size}&page={number}>; rel=\"{rel}\"")
        };
        let mut links = Vec::new();
        if page > 1 {
            links.extend([link(page - 1, "prev"), link(1, "first")]);
        }
        if page < last {
            links.extend([link(page + 1, "next"), link(last, "last")]);
        }
        let headers = match links.is_empty() {
            true => vec![],
            false => vec![("Link", links.join(", "))],
        };
        let entries: Vec<Value> = all.into_iter().skip((page - 1) * size).take(size).collect();
        (200, entries.into(), headers)
    }
}

fn refusal(status: u16, message: &str) -> ApiResponse {
    let documentation = "https://docs.github.com/rest";
    let body = json!({ "message": message, "documentation_url": documentation,
                       "status": status.to_string() });
    (status, body, vec![])
}

fn limited(limit: Limit) -> ApiResponse {
    match limit {
        Limit::Primary { reset_in } => {
            let (status, body, _) = refusal(403, "API rate limit exceeded for user ID 42.");
            let reset = (now() + reset_in).to_string();
            let zero = ("X-RateLimit-Remaining", "0".to_owned());
            (status, body, vec![zero, ("X-RateLimit-Reset", reset)])
        }
        Limit::Secondary { status, retry_after } => {
            let message = "You have exceeded a secondary rate limit. Please wait a few minutes \
                           before you try again.";
            let (status, body, _) = refusal(status, message);
            let header = retry_after.map(|seconds| ("Retry-After", seconds.to_string()));
            (status, body, header.into_iter().collect())
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
