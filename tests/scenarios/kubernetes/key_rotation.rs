//! Key rotation while an API server has cached the old keys (threats 71 and 155). An API server reads `/keys`
//! at the first token and again only for a token whose key it does not know, after `max-age` has passed. Its
//! clock is the machine's, while the server's runs ahead: tokens never expire for it, so a refusal is due to
//! the key.

use std::time::Duration;

use crate::world::{ALICE, ALICE_PASSWORD, ApiServer, Client, Need, RelyingParty, Server, World};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// A client that holds a refresh token, such as kubectl.
struct Kubectl {
    app: RelyingParty,
    refresh_token: String,
}

impl Kubectl {
    async fn sign_in_alice(server: &Server) -> Self {
        let (mut alice, app) = (server.browser(), server.relying_party("kubernetes"));
        let request = app.auth_request("openid email offline_access");
        let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
        let response = app.redeems(&request, &auth_response).await;
        Self { app, refresh_token: response.refresh_token().to_owned() }
    }

    async fn new_token(&mut self) -> String {
        let response = self.app.refreshes(&self.refresh_token).await;
        assert_eq!(response.status, 200, "{}", response.page.body);
        response.refresh_token().clone_into(&mut self.refresh_token);
        response.id_token().to_owned()
    }
}

/// The log field of a request for the keys.
const KEYS_READ: &str = "/dex/keys";

#[tokio::test]
async fn kubernetes_accepts_tokens_throughout_a_rotation_with_cached_keys() {
    if Need::Kubernetes.is_missing() || Need::Clock.is_missing() {
        return;
    }
    let mut server = World::with_clock()
        .over_https()
        .client(Client::public("kubernetes"))
        .with("expiry:\n  idTokens: 10m\n  signingKeys: 6h")
        .start()
        .await;
    let mut kubectl = Kubectl::sign_in_alice(&server).await;
    let first = kubectl.new_token().await;
    // It fetches rarely, which is why keys are published in advance.
    let mut hasty = ApiServer::trusting(&server, "kubernetes");
    assert_eq!(hasty.authenticates(&first)["ok"], true);

    // The next key is published an hour before it signs.
    server.advance(5 * HOUR + MINUTE);
    server.restart().await;
    let mut cluster = ApiServer::trusting(&server, "kubernetes");
    let before = kubectl.new_token().await;
    assert_eq!(cluster.authenticates(&before)["ok"], true);
    // Each of the two has read them once. A log line follows its response shortly.
    server.waits_for_log(2, KEYS_READ).await;

    server.advance(58 * MINUTE);
    let last_of_the_old = kubectl.new_token().await;
    server.advance(2 * MINUTE);
    let first_of_the_new = kubectl.new_token().await;
    for token in [&before, &last_of_the_old, &first_of_the_new] {
        let seen = cluster.authenticates(token);
        assert_eq!(seen["username"], format!("oidc:{ALICE}"), "{seen}");
    }
    assert_eq!(server.count_in_log(KEYS_READ), 2, "it used its cache");
    let seen = hasty.authenticates(&first_of_the_new);
    assert_eq!((&seen["ok"], &seen["refused"]), (&false.into(), &true.into()), "{seen}");

    // The last token of the old key is valid until 6:09. A second before, a newly started API server accepts it.
    server.advance(7 * MINUTE);
    server.restart().await;
    let mut started_late = ApiServer::trusting(&server, "kubernetes");
    assert_eq!(started_late.authenticates(&last_of_the_old)["ok"], true);

    // At 6:19, ten minutes after its last token expired, the old key is removed.
    server.advance(14 * MINUTE);
    server.restart().await;
    let mut started_later = ApiServer::trusting(&server, "kubernetes");
    let seen = started_later.authenticates(&last_of_the_old);
    assert_eq!((&seen["ok"], &seen["refused"]), (&false.into(), &true.into()), "{seen}");
    assert_eq!(started_later.authenticates(&first_of_the_new)["ok"], true);
}
