//! What browsers and proxies may keep (threat C 46): nothing that is somebody's, and what is
//! everybody's for a short while.

use crate::world::http::{bare_client, send};
use crate::world::{ALICE, ALICE_PASSWORD, Page, World};

fn assert_not_kept(page: &Page, what: &str) {
    assert_eq!(page.header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(page.header("pragma"), Some("no-cache"), "{what}");
    assert_eq!(page.header("etag"), None, "{what}");
}

/// RFC 6749 section 5.1, RFC 9700 section 4.3.
#[tokio::test]
async fn no_page_and_no_redirect_of_a_login_is_kept() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let begun = alice.get(app.auth_request("openid").url).await;
    assert_eq!(begun.status, 303);
    assert_not_kept(&begun, "the way to the form");
    assert_not_kept(alice.follow(begun).await, "the form");
    assert_not_kept(alice.signs_in(ALICE, "not-her-password").await, "a wrong password");

    let form = alice.page().form_with("password").unwrap();
    let form = form.fill("login", ALICE).fill("password", ALICE_PASSWORD);
    let fields: Vec<_> = form.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let proven = alice.post_form(&form.action, &fields).await;
    assert_eq!(proven.status, 303);
    assert_not_kept(&proven, "the way on, with her cookies");
    assert_not_kept(alice.follow(proven).await, "the approval");
    let code = alice.approves().await;
    assert!(code.location().unwrap().query().unwrap().contains("code="), "{code:?}");
    assert_not_kept(code, "the redirect with the code");

    for path in ["/", "/logout"] {
        let page = alice.opens(server.url(path)).await;
        assert!(page.status == 200 && page.body.contains("alice"), "{path}");
        assert_not_kept(page, path);
    }
}

#[tokio::test]
async fn no_error_is_kept() {
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
        assert_not_kept(&page, path);
    }
    let untyped = send(bare_client().post(server.url("/approval")).body("{}")).await;
    assert_eq!(untyped.status, 415);
    assert!(untyped.body.contains("<h1>"), "an error is a page: {untyped:?}");
    assert_not_kept(&untyped, "a form that is none");
    assert_not_kept(
        &send(bare_client().delete(server.url("/auth"))).await,
        "a method that is none",
    );
}

#[tokio::test]
async fn no_token_and_nothing_told_for_one_is_kept() {
    let server = World::new().start().await;
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    let request = app.auth_request("openid offline_access");
    let auth_response = alice.logs_in(&request, ALICE, ALICE_PASSWORD).await;
    let tokens = app.redeems(&request, &auth_response).await;
    assert_eq!(tokens.status, 200);
    assert_not_kept(&tokens.page, "tokens");
    assert_not_kept(&app.refreshes(tokens.refresh_token()).await.page, "refreshed tokens");
    assert_not_kept(&app.refreshes("no-token").await.page, "a refusal");
    let known = app.userinfo(tokens.access_token()).await;
    assert_eq!(known.status, 200);
    assert_not_kept(&known.page, "userinfo");
    let unknown = app.userinfo("no-token").await;
    assert_eq!(unknown.status, 401);
    assert_not_kept(&unknown.page, "a wrong token");
}

/// An API server asks again only when `max-age` has passed (kubernetes.md 3.3), and whoever has the
/// document already is told so without it (RFC 9110 section 13.1.2).
#[tokio::test]
async fn keys_and_discovery_are_kept_for_five_minutes() {
    let server = World::new().start().await;
    for path in ["/keys", "/.well-known/openid-configuration"] {
        let asked = |tag: &str| bare_client().get(server.url(path)).header("if-none-match", tag);
        let first = send(bare_client().get(server.url(path))).await;
        let kept = first.header("cache-control").unwrap();
        assert!(kept.starts_with("public, max-age=300"), "{path}: {kept}");
        assert_eq!(first.header("pragma"), None, "{path}");
        let tag = first.header("etag").unwrap_or_else(|| panic!("{path} has no tag"));
        assert!(tag.len() > 10 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");

        for same in [tag.to_owned(), format!("W/{tag}"), format!("\"another\", {tag}")] {
            let again = send(asked(&same)).await;
            assert_eq!((again.status, again.body.as_str()), (304, ""), "{path} {same}");
            assert_eq!(again.header("etag"), Some(tag), "{path}");
            assert_eq!(again.header("cache-control"), Some(kept), "{path}");
        }
        for other in ["\"another\"", "", &tag[1..], "nonsense"] {
            let again = send(asked(other)).await;
            assert_eq!((again.status, &again.body), (200, &first.body), "{path} {other:?}");
        }
    }
}

/// The names of these files change with their content.
#[tokio::test]
async fn what_pages_are_dressed_with_is_kept_for_long() {
    let server = World::new().start().await;
    let mut alice = server.browser();
    let home = alice.opens(server.url("/")).await.clone();
    for link in home.attributes("link[href]", "href") {
        let file = alice.get(home.url.join(&link).unwrap()).await;
        assert_eq!(file.status, 200, "{link}");
        let kept = file.header("cache-control").unwrap();
        assert!(kept.contains("immutable") && kept.contains("public"), "{link}: {kept}");
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"), "{link}");
    }
}
