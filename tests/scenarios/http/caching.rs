//! Caching of responses (threat C 46): nothing personal is stored; public documents for a short time.

use crate::world::http::{bare_client, send};
use crate::world::{ALICE, ALICE_PASSWORD, Page, World};

fn assert_not_stored(page: &Page, what: &str) {
    assert_eq!(page.header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(page.header("pragma"), Some("no-cache"), "{what}");
    assert_eq!(page.header("etag"), None, "{what}");
}

/// RFC 6749 section 5.1, RFC 9700 section 4.3.
#[tokio::test]
async fn no_response_of_a_login_is_stored() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let redirect = alice.get(app.auth_request("openid").url).await;
    assert_eq!(redirect.status, 303);
    assert_not_stored(&redirect, "the redirect to the form");
    assert_not_stored(alice.follow(redirect).await, "the form");
    assert_not_stored(alice.signs_in(ALICE, "not-her-password").await, "a wrong password");

    let form = alice.page().form_with("password").unwrap();
    let form = form.fill("login", ALICE).fill("password", ALICE_PASSWORD);
    let fields: Vec<_> = form.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let signed_in = alice.post_form(&form.action, &fields).await;
    assert_eq!(signed_in.status, 303);
    assert_not_stored(&signed_in, "the redirect with her cookies");
    assert_not_stored(alice.follow(signed_in).await, "the approval");
    let code = alice.approves().await;
    assert!(code.location().unwrap().query().unwrap().contains("code="), "{code:?}");
    assert_not_stored(code, "the redirect with the code");

    for path in ["/", "/logout"] {
        let page = alice.opens(server.url(path)).await;
        assert!(page.status == 200 && page.body.contains("alice"), "{path}");
        assert_not_stored(page, path);
    }
}

#[tokio::test]
async fn no_error_response_is_stored() {
    let server = World::new().start().await;
    let mut alice = server.browser();
    for (path, status) in [
        ("/auth?client_id=nobody", 400),
        ("/nothing-here", 404),
        ("/callback?state=s", 400),
        ("/approval", 400),
        ("/auth/%ff", 400),
        ("/token", 405),
        ("/userinfo", 401),
    ] {
        let page = alice.get(server.url(path)).await;
        assert_eq!(page.status, status, "{path}");
        assert_not_stored(&page, path);
    }
    let untyped = send(bare_client().post(server.url("/approval")).body("{}")).await;
    assert_eq!(untyped.status, 415);
    assert!(untyped.body.contains("<h1>"), "errors are pages: {untyped:?}");
    assert_not_stored(&untyped, "an unsupported media type");
    assert_not_stored(
        &send(bare_client().delete(server.url("/auth"))).await,
        "an unsupported method",
    );
}

#[tokio::test]
async fn no_token_response_and_no_userinfo_is_stored() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid offline_access");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let tokens = app.redeems(&request, &auth_response).await;
    assert_eq!(tokens.status, 200);
    assert_not_stored(&tokens.page, "tokens");
    assert_not_stored(&app.refreshes(tokens.refresh_token()).await.page, "refreshed tokens");
    assert_not_stored(&app.refreshes("no-token").await.page, "an error");
    let userinfo = app.userinfo(tokens.access_token()).await;
    assert_eq!(userinfo.status, 200);
    assert_not_stored(&userinfo.page, "userinfo");
    let unknown = app.userinfo("no-token").await;
    assert_eq!(unknown.status, 401);
    assert_not_stored(&unknown.page, "a wrong token");
}

/// An API server refetches only after `max-age`; a conditional request gets 304 (RFC 9110 section 13.1.2).
#[tokio::test]
async fn keys_and_discovery_are_cached_for_five_minutes_with_an_etag() {
    let server = World::new().start().await;
    for path in ["/keys", "/.well-known/openid-configuration"] {
        let conditional =
            |tag: &str| bare_client().get(server.url(path)).header("if-none-match", tag);
        let first = send(bare_client().get(server.url(path))).await;
        let cache_control = first.header("cache-control").unwrap();
        assert!(cache_control.starts_with("public, max-age=300"), "{path}: {cache_control}");
        assert_eq!(first.header("pragma"), None, "{path}");
        let tag = first.header("etag").unwrap_or_else(|| panic!("{path} has no tag"));
        assert!(tag.len() > 10 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");

        for same in [tag.to_owned(), format!("W/{tag}"), format!("\"another\", {tag}")] {
            let again = send(conditional(&same)).await;
            assert_eq!((again.status, again.body.as_str()), (304, ""), "{path} {same}");
            assert_eq!(again.header("etag"), Some(tag), "{path}");
            assert_eq!(again.header("cache-control"), Some(cache_control), "{path}");
        }
        for other in ["\"another\"", "", &tag[1..], "nonsense"] {
            let again = send(conditional(other)).await;
            assert_eq!((again.status, &again.body), (200, &first.body), "{path} {other:?}");
        }
    }
}

/// The names of these files contain a hash of their content.
#[tokio::test]
async fn static_files_are_cached_as_immutable() {
    let server = World::new().start().await;
    let mut alice = server.browser();
    let home = alice.opens(server.url("/")).await.clone();
    for link in home.attributes("link[href]", "href") {
        let file = alice.get(home.url.join(&link).unwrap()).await;
        assert_eq!(file.status, 200, "{link}");
        let cache_control = file.header("cache-control").unwrap();
        assert!(
            cache_control.contains("immutable") && cache_control.contains("public"),
            "{link}: {cache_control}"
        );
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"), "{link}");
    }
}
