//! The page on which a user authorizes an application, and the token endpoint.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::super::web::{Reply, Request};
use super::{CLIENT, SECRET, State, Token};

pub struct Code {
    token: Token,
    redirect_uri: Option<String>,
    /// PKCE, S256.
    challenge: Option<String>,
}

type Query = [(String, String)];

fn find<'a>(query: &'a Query, name: &str) -> Option<&'a str> {
    query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

impl State {
    pub(super) fn page(&self, request: &Request) -> Reply {
        if request.query("client_id") != Some(CLIENT) {
            return Reply::not_found();
        }
        let field = |(name, value): &(String, String)| {
            format!("<input type=hidden name=\"{}\" value=\"{}\">", shown(name), shown(value))
        };
        let fields: String = request.query.iter().map(field).collect();
        let scope = request.query("scope").unwrap_or_default();
        let html = format!(
            "<!DOCTYPE html><html lang=en><title>Authorize application</title>\
             <h1>Authorize Countersign</h1><p>Signed in as <b id=login>{}</b>. It requests {}.</p>\
             <form method=post action=\"/login/oauth/authorize\">{fields}\
             <button id=authorize name=authorize value=1>Authorize</button>\
             <button id=cancel name=authorize value=0>Cancel</button></form>",
            shown(&self.signed_in),
            shown(scope)
        );
        Reply::Text(200, "text/html; charset=utf-8", html)
    }

    /// Handles the form of the page: approval or refusal.
    pub(super) fn decided(&mut self, request: &Request) -> Reply {
        let form = form_urlencoded::parse(request.body.as_bytes());
        let query: Vec<(String, String)> = form.into_owned().collect();
        let to = match find(&query, "authorize") {
            Some("1") => self.authorize(&query),
            _ => back(&query, &[("error", "access_denied")]),
        };
        Reply::Redirect(to)
    }

    /// The redirect after the user has approved.
    pub(super) fn authorize(&mut self, query: &Query) -> String {
        let redirect_uri = find(query, "redirect_uri").map(str::to_owned);
        if self.callback.is_some() && self.callback != redirect_uri {
            return back(query, &[("error", "redirect_uri_mismatch")]);
        }
        let scope = find(query, "scope").unwrap_or_default();
        let scopes = self.granted_scopes.unwrap_or(scope);
        let scopes = scopes.split([' ', ',']).filter(|s| !s.is_empty()).map(str::to_owned);
        let person = self.people.iter().find(|person| person.login == self.signed_in);
        let token = Token { user: person.unwrap().id, scopes: scopes.collect() };
        let challenge = find(query, "code_challenge").map(str::to_owned);
        let code = self.random("code");
        self.codes.insert(code.clone(), Code { token, redirect_uri, challenge });
        back(query, &[("code", &code)])
    }

    /// GitHub responds with 200 even to errors, and form-encoded unless JSON is requested.
    pub(super) fn token(&mut self, request: &Request) -> Reply {
        let response = self.redeemed(request).unwrap_or_else(|error| {
            json!({ "error": error, "error_description": "It is wrong.",
                    "error_uri": "https://docs.github.com/apps/oauth" })
        });
        let accepts_json = request.headers.get("accept").is_some_and(|a| a.contains("json"));
        if accepts_json {
            return Reply::ok(response);
        }
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let pairs = response.as_object().unwrap().iter().map(|(name, value)| (name, text(value)));
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        Reply::Text(200, "application/x-www-form-urlencoded", body)
    }

    fn redeemed(&mut self, request: &Request) -> Result<Value, &'static str> {
        let is = |name: &str, value: &str| request.form(name).as_deref() == Some(value);
        if !is("client_id", CLIENT) || !is("client_secret", SECRET) {
            return Err("incorrect_client_credentials");
        }
        let token = if is("grant_type", "refresh_token") {
            let old = request.form("refresh_token").unwrap_or_default();
            self.refresh_tokens.remove(&old).ok_or("bad_refresh_token")?
        } else {
            let code = request.form("code").unwrap_or_default();
            let code = self.codes.remove(&code).ok_or("bad_verification_code")?;
            if code.redirect_uri != request.form("redirect_uri") {
                return Err("redirect_uri_mismatch");
            }
            let hash =
                |verifier: String| URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
            if code.challenge.is_some() && code.challenge != request.form("code_verifier").map(hash)
            {
                return Err("bad_verification_code");
            }
            code.token
        };
        let access = self.random("gho_");
        let mut response = json!({ "access_token": access, "token_type": "bearer",
                                 "scope": token.scopes.join(",") });
        if self.expiring {
            let refresh = self.random("ghr_");
            response["expires_in"] = 28_800.into();
            response["refresh_token"] = refresh.clone().into();
            response["refresh_token_expires_in"] = 15_811_200.into();
            self.refresh_tokens.insert(refresh, token.clone());
        }
        self.tokens.insert(access, token);
        Ok(response)
    }
}

fn back(query: &Query, with: &[(&str, &str)]) -> String {
    let mut url = url::Url::parse(find(query, "redirect_uri").unwrap()).unwrap();
    url.query_pairs_mut().extend_pairs(with);
    url.query_pairs_mut().extend_pairs(find(query, "state").map(|state| ("state", state)));
    url.into()
}

fn shown(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
