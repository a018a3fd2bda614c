//! `POST /action`: uses the tokens that the browser has obtained. `GET /poll`: polls for those of a device code.

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::Value;

use super::callback::keep_tokens;
use super::page::{self, back_to_page};
use super::provider::{Metadata, Reply, TIMEOUT};
use super::{BrowserState, DEVICE_CODE, ExampleApp, TOKEN_EXCHANGE};
use crate::form::{self, once};
use crate::response::see_other;

pub async fn post(State(app): State<ExampleApp>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if page::is_from_another_site(&parts.headers) {
        return page::refused();
    }
    let Ok(pairs) = form::read(&parts.headers, body).await else { return page::refused() };
    let Some((id, browser)) = app.browser(&parts.headers) else { return back_to_page() };
    let action = once(&pairs, "action").unwrap_or_default();
    if action == "forget" {
        app.forget(&id);
        return back_to_page();
    }
    let done = match app.provider.metadata().await {
        Ok(metadata) => {
            let call = Call { app: &app, id: &id, browser: &browser, metadata: &metadata };
            call.perform(action, once(&pairs, "audience").unwrap_or_default()).await
        }
        Err(error) => Err(error),
    };
    match done {
        Ok(Some(location)) => see_other(&location),
        Ok(None) => back_to_page(),
        Err(error) => {
            app.change(&id, |browser| browser.error = Some(error));
            back_to_page()
        }
    }
}

/// While a device code is pending, the page goes here at the issuer's interval, and back.
pub async fn get_poll(State(app): State<ExampleApp>, headers: HeaderMap) -> Response {
    let Some((id, browser)) = app.browser(&headers) else { return back_to_page() };
    let polled = match app.provider.metadata().await {
        Ok(metadata) => {
            poll(&Call { app: &app, id: &id, browser: &browser, metadata: &metadata }).await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = polled {
        app.change(&id, |browser| browser.error = Some(error));
    }
    back_to_page()
}

struct Call<'a> {
    app: &'a ExampleApp,
    id: &'a str,
    browser: &'a BrowserState,
    metadata: &'a Metadata,
}

impl Call<'_> {
    /// Performs the action. For a logout, returns the URL to redirect to.
    async fn perform(&self, action: &str, audience: &str) -> Result<Option<String>, String> {
        match action {
            "refresh" => self.refresh().await?,
            "userinfo" => self.userinfo().await?,
            "introspect" => self.introspect().await?,
            "revoke" => self.revoke().await?,
            "exchange" => self.exchange(audience.trim()).await?,
            "poll" => self.poll().await?,
            "logout" => return self.logout().map(Some),
            _ => return Err("There is no such action.".to_owned()),
        }
        Ok(None)
    }

    fn endpoint(&self, name: &str) -> Result<&str, String> {
        self.metadata.endpoint(name).ok_or_else(|| format!("The issuer has no {name}."))
    }

    fn token(&self, name: &str) -> Result<&str, String> {
        let tokens = self.browser.tokens.as_ref();
        tokens.and_then(|tokens| tokens.text(name)).ok_or_else(|| format!("There is no {name}."))
    }

    fn show(&self, reply: Reply) {
        self.app.change(self.id, |browser| {
            browser.error = None;
            browser.last = Some(reply);
        });
    }

    /// RFC 6749 section 6. If the response has no new refresh token, the old one remains valid.
    async fn refresh(&self) -> Result<(), String> {
        let refresh_token = self.token("refresh_token")?;
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        let reply = self.app.provider.post(self.endpoint("token_endpoint")?, &fields).await?;
        if !reply.is_success() {
            return Err(reply.error());
        }
        let mut response = reply.json;
        if !response.contains_key("refresh_token") {
            response.insert("refresh_token".to_owned(), Value::from(refresh_token));
        }
        keep_tokens(self.app, self.id, self.metadata, (response, "Refresh token", None)).await
    }

    async fn userinfo(&self) -> Result<(), String> {
        let token = self.token("access_token")?;
        let reply = self.app.provider.get(self.endpoint("userinfo_endpoint")?, Some(token)).await?;
        self.show(reply);
        Ok(())
    }

    /// RFC 7662.
    async fn introspect(&self) -> Result<(), String> {
        let fields = [("token", self.token("access_token")?)];
        let url = self.endpoint("introspection_endpoint")?;
        let reply = self.app.provider.post(url, &fields).await?;
        self.show(reply);
        Ok(())
    }

    /// RFC 7009. Revokes the refresh token; without one, the access token.
    async fn revoke(&self) -> Result<(), String> {
        let token = self.token("refresh_token").or_else(|_| self.token("access_token"))?;
        let url = self.endpoint("revocation_endpoint")?;
        let reply = self.app.provider.post(url, &[("token", token)]).await?;
        self.show(reply);
        Ok(())
    }

    /// RFC 8693: obtains an ID token for another client.
    async fn exchange(&self, audience: &str) -> Result<(), String> {
        let fields = [
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_token", self.token("access_token")?),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:id_token"),
            ("audience", audience),
        ];
        let reply = self.app.provider.post(self.endpoint("token_endpoint")?, &fields).await?;
        self.show(reply);
        Ok(())
    }

    /// The button that says that the code is confirmed.
    async fn poll(&self) -> Result<(), String> {
        match poll(self).await? {
            PollOutcome::Decided => Ok(()),
            PollOutcome::Pending => Err("Nobody has confirmed the code yet.".to_owned()),
            PollOutcome::TooEarly { interval_seconds } => Err(format!(
                "The issuer allows one request in {interval_seconds} seconds. This page sends the next one by itself."
            )),
        }
    }

    /// OpenID Connect RP-Initiated Logout 1.0 section 2. The tokens are deleted here first.
    fn logout(&self) -> Result<String, String> {
        let mut url = url::Url::parse(self.endpoint("end_session_endpoint")?)
            .map_err(|error| error.to_string())?;
        let back = self.app.settings.redirect_uri.join("/").map_err(|error| error.to_string())?;
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("client_id", &self.app.settings.client_id);
            if let Ok(id_token) = self.token("id_token") {
                query.append_pair("id_token_hint", id_token);
            }
            query.append_pair("post_logout_redirect_uri", back.as_str());
        }
        self.app.forget(self.id);
        Ok(url.into())
    }
}

enum PollOutcome {
    /// There are tokens, or no device code was pending.
    Decided,
    Pending,
    /// Nothing was sent, or the issuer answered `slow_down`.
    TooEarly {
        interval_seconds: u64,
    },
}

/// RFC 8628 sections 3.4 and 3.5. An error other than `authorization_pending` and `slow_down` ends the polling, unless it
/// is the server's own (5xx).
async fn poll(call: &Call<'_>) -> Result<PollOutcome, String> {
    let Some(device) = &call.browser.device else { return Ok(PollOutcome::Decided) };
    let now = call.app.now();
    let mut is_due = false;
    call.app.change(call.id, |browser| {
        if let Some(device) = browser.device.as_mut().filter(|device| device.may_poll(now)) {
            // No second request while this one may be in progress: with it the code would be used twice.
            device.polled_at = Some(now + TIMEOUT);
            is_due = true;
        }
    });
    if !is_due {
        return Ok(PollOutcome::TooEarly { interval_seconds: device.interval_seconds });
    }
    let fields = [("grant_type", DEVICE_CODE), ("device_code", device.device_code.as_str())];
    let reply = call.app.provider.post(call.endpoint("token_endpoint")?, &fields).await?;
    if reply.is_success() {
        let kept = (reply.json, "Device code", None);
        keep_tokens(call.app, call.id, call.metadata, kept).await?;
        return Ok(PollOutcome::Decided);
    }
    let (error, now) = (reply.json.get("error").and_then(Value::as_str), call.app.now());
    let outcome = match error {
        Some("authorization_pending") => Ok(PollOutcome::Pending),
        Some("slow_down") => {
            let interval_seconds = device.interval_seconds.saturating_add(5);
            Ok(PollOutcome::TooEarly { interval_seconds })
        }
        _ => Err(reply.error()),
    };
    call.app.change(call.id, |browser| match (&mut browser.device, &outcome) {
        // Temporary errors do not end it.
        (device, Err(_)) if reply.status < 500 => *device = None,
        (Some(device), Ok(PollOutcome::TooEarly { interval_seconds })) => {
            (device.polled_at, device.interval_seconds) = (Some(now), *interval_seconds);
        }
        (Some(device), _) => device.polled_at = Some(now),
        (None, _) => {}
    });
    outcome
}
