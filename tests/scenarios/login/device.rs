//! A device that requests authorization, and what a person does in a browser.

use serde_json::Value;

use crate::world::{Browser, Client, JsonResponse, Page, RelyingParty, Server, World};

pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// With the public client `cli`.
pub fn world(base: World) -> World {
    base.client(Client::public("cli")).with("oauth2:\n  skipApprovalScreen: true")
}

pub struct Device {
    pub app: RelyingParty,
    pub device_code: String,
    pub user_code: String,
    /// The whole device authorization response.
    pub response: Value,
}

impl Device {
    /// A device authorization request of the client `cli` for these scopes.
    pub async fn requests(server: &Server, scope: &str) -> Self {
        Self::requests_with(server.relying_party("cli"), &[("scope", scope)]).await
    }

    pub async fn requests_with(app: RelyingParty, fields: &[(&str, &str)]) -> Self {
        let response = app.posts("/device/code", fields).await;
        assert_eq!(response.status, 200, "{}", response.page.body);
        assert_eq!(response.page.header("cache-control"), Some("no-store"));
        let text = |name: &str| response.json[name].as_str().unwrap().to_owned();
        let (device_code, user_code) = (text("device_code"), text("user_code"));
        Self { app, device_code, user_code, response: response.json }
    }

    pub async fn polls(&self) -> JsonResponse {
        self.polls_with(None).await
    }

    pub async fn polls_with(&self, verifier: Option<&str>) -> JsonResponse {
        let mut fields = vec![("grant_type", DEVICE_CODE), ("device_code", &*self.device_code)];
        fields.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        self.app.exchange(&fields).await
    }
}

/// Opens the page and submits the user code. If it is right, the confirmation page follows.
pub async fn types_code<'a>(browser: &'a mut Browser, server: &Server, code: &str) -> &'a Page {
    browser.opens(server.url("/device")).await;
    let form = browser.page().form_with("user_code").expect("a form for the code");
    browser.submits(form.fill("user_code", code)).await
}

/// Confirms the device, and signs in if the form appears.
pub async fn confirms_device<'a>(
    browser: &'a mut Browser,
    login: &str,
    password: &str,
) -> &'a Page {
    browser.clicks("It is mine").await;
    if browser.page().form_with("password").is_some() {
        browser.signs_in(login, password).await;
    }
    browser.page()
}
