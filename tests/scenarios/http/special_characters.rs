//! Texts that a database takes for something else (threat L 134): each is refused as what it is, and
//! none is a failure of the server.

use crate::world::http::{bare_client, send};
use crate::world::{ALICE, ALICE_PASSWORD, Need, World};

fn odd_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "\0",
        "a\0b",
        "' OR '1'='1",
        "'; DROP TABLE sessions; --",
        "$1",
        "%",
        "_",
        "\\",
        "\u{feff}",
        "\u{fffd}",
        "\u{10ffff}",
        "é",
        "e\u{301}",
        "null",
        "-9223372036854775809",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("a".repeat(20_000));
    texts
}

async fn refuses_them(world: World) {
    let server = world.start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid offline_access");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let tokens = app.redeems(&request, &auth_response).await;
    for odd in odd_texts() {
        for refused in [
            app.refreshes(&odd).await,
            app.exchange(&[
                ("grant_type", "authorization_code"),
                ("code", &odd),
                ("redirect_uri", &odd),
                ("code_verifier", &odd),
            ])
            .await,
        ] {
            assert_eq!((refused.status, refused.error()), (400, "invalid_grant"), "{odd:?}");
        }
        let fields = [("grant_type", "authorization_code"), ("code", "c"), ("client_id", &*odd)];
        let unknown = send(bare_client().post(server.url("/token")).form(&fields)).await;
        assert_eq!(unknown.status, 401, "{odd:?}: {}", unknown.body);
        for parameter in
            ["client_id", "connector_id", "nonce", "scope", "login_hint", "id_token_hint"]
        {
            let page = alice.get(app.auth_request_with("openid", &[(parameter, &odd)]).url).await;
            assert!(page.status < 500, "{parameter} {odd:?}: {}", page.status);
        }
        let mut stranger = server.browser();
        stranger.opens(app.auth_request("openid").url).await;
        let page = stranger.signs_in(&odd, "not-the-password").await;
        assert!(matches!(page.status, 401 | 429), "{odd:?}: {}", page.status);
    }
    let refreshed = app.refreshes(tokens.refresh_token()).await;
    assert_eq!(refreshed.status, 200, "and all is as it was: {}", refreshed.page.body);
}

#[tokio::test]
async fn no_text_means_something_else_to_sqlite() {
    refuses_them(World::new()).await;
}

#[tokio::test]
async fn no_text_means_something_else_to_postgres() {
    if Need::Postgres.is_missing() {
        return;
    }
    refuses_them(World::with_postgres()).await;
}

/// A nonce is the application's own text: it comes back to the byte, through both.
#[tokio::test]
async fn what_an_application_chose_comes_back_as_it_was() {
    let mut worlds = vec![World::new()];
    if !Need::Postgres.is_missing() {
        worlds.push(World::with_postgres());
    }
    for world in worlds {
        let server = world.start().await;
        let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
        for nonce in ["'; --", "e\u{301}\u{10ffff}", "  spaces  ", "a\\u0000b", "\"{}"] {
            let request = app.auth_request_with("openid", &[("nonce", nonce)]);
            let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
            let told = crate::world::claims(app.redeems(&request, &auth_response).await.id_token());
            assert_eq!(told["nonce"], nonce);
        }
    }
}
