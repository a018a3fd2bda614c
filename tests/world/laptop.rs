//! Kubectl, or another application, on somebody's laptop: what it was given at a login.

use super::{ALICE, ALICE_PASSWORD, RelyingParty, Server};

/// Without `offline_access` there is no refresh token: an empty text.
pub struct Laptop {
    pub app: RelyingParty,
    pub id_token: String,
    pub access_token: String,
    pub refresh_token: String,
}

impl Laptop {
    /// After a login for `client`, with these parameters beside the usual ones.
    pub async fn of(
        who: (&str, &str),
        server: &Server,
        client: &str,
        scopes: &str,
        parameters: &[(&str, &str)],
    ) -> Self {
        let app = server.relying_party(client);
        let request = app.asks_with(scopes, parameters);
        let arrival = server.browser().logs_in(&request, who.0, who.1).await;
        let tokens = app.redeems(&request, &arrival).await;
        let text = |key: &str| tokens.json[key].as_str().unwrap_or_default().to_owned();
        let (access_token, refresh_token) = (text("access_token"), text("refresh_token"));
        Self { id_token: text("id_token"), access_token, refresh_token, app }
    }

    pub async fn of_alice(server: &Server, client: &str, scopes: &str) -> Self {
        Self::of((ALICE, ALICE_PASSWORD), server, client, scopes, &[]).await
    }

    /// What it was given, and that alone.
    pub async fn ends(&self) {
        let ended = self.app.posts("/revoke", &[("token", &self.refresh_token)]).await;
        assert_eq!(ended.status, 200);
    }
}
