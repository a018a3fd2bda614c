//! Texts that are special to a database (threat L 134): refused as invalid values, never a server error.

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

async fn refuses_special_texts(world: World) {
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
        let mut other = server.browser();
        other.opens(app.auth_request("openid").url).await;
        let page = other.signs_in(&odd, "not-the-password").await;
        assert!(matches!(page.status, 401 | 429), "{odd:?}: {}", page.status);
    }
    let refreshed = app.refreshes(tokens.refresh_token()).await;
    assert_eq!(refreshed.status, 200, "other tokens are unaffected: {}", refreshed.page.body);
}

#[tokio::test]
async fn special_characters_are_plain_text_to_sqlite() {
    refuses_special_texts(World::new()).await;
}

#[tokio::test]
async fn special_characters_are_plain_text_to_postgres() {
    if Need::Postgres.is_missing() {
        return;
    }
    refuses_special_texts(World::with_postgres()).await;
}

/// A nonce is returned unchanged, on both databases.
#[tokio::test]
async fn a_nonce_is_returned_byte_for_byte() {
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
            let claims =
                crate::world::claims(app.redeems(&request, &auth_response).await.id_token());
            assert_eq!(claims["nonce"], nonce);
        }
    }
}
