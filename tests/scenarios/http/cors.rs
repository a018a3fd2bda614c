//! CORS (threat K 123): scripts of configured origins may read the endpoints for clients, and never with
//! cookies.

use reqwest::Method;

use crate::world::http::{bare_client, send};
use crate::world::{ALICE, ALICE_PASSWORD, Page, Server, World};

const ALLOWED: &str = "https://app.example.com";
const CLIENT_ENDPOINTS: [&str; 4] =
    ["/token", "/userinfo", "/keys", "/.well-known/openid-configuration"];
const PAGES: [&str; 5] = ["/", "/auth", "/approval", "/logout", "/healthz"];

/// Origins that resemble the allowed one.
const OTHERS: [&str; 10] = [
    "https://evil.example.com",
    "null",
    "https://app.example.com.evil.example.com",
    "https://evilapp.example.com",
    "https://app.example.com:8443",
    "http://app.example.com",
    "https://app.example.com@evil.example.com",
    "https://APP.EXAMPLE.COM",
    "https://app.example.com/",
    "*",
];

fn world(origins: &str) -> World {
    let world = World::new();
    let http = world.origin().replace("http://", "");
    world.with(&format!("web:\n  http: {http}\n{origins}"))
}

async fn cross_origin_request(server: &Server, method: Method, path: &str, origin: &str) -> Page {
    let request = bare_client().request(method, server.url(path)).header("origin", origin);
    let request = request.header("access-control-request-method", "POST");
    send(request.header("access-control-request-headers", "authorization")).await
}

fn allowed(page: &Page) -> Option<&str> {
    assert_eq!(page.header("access-control-allow-credentials"), None, "{page:?}");
    page.header("access-control-allow-origin")
}

/// CVE-2024-41657 (Casdoor): any origin was allowed, with credentials.
#[tokio::test]
async fn an_origin_is_allowed_only_on_an_exact_match() {
    let server = world(&format!("  allowedOrigins: ['{ALLOWED}']")).start().await;
    for path in CLIENT_ENDPOINTS {
        let preflight = cross_origin_request(&server, Method::OPTIONS, path, ALLOWED).await;
        assert_eq!((preflight.status, allowed(&preflight)), (200, Some(ALLOWED)), "{path}");
        let headers = preflight.header("access-control-allow-headers").unwrap_or_default();
        assert!(headers.eq_ignore_ascii_case("authorization"), "{path}: {headers}");
        for method in [Method::GET, Method::POST] {
            let page = cross_origin_request(&server, method, path, ALLOWED).await;
            assert_eq!(allowed(&page), Some(ALLOWED), "{path}: {}", page.status);
            let vary = page.header("vary").unwrap_or_default().to_lowercase();
            assert!(vary.contains("origin"), "a cache must distinguish origins: {path}: {vary}");
        }
        for other in OTHERS {
            for method in [Method::OPTIONS, Method::GET, Method::POST] {
                let page = cross_origin_request(&server, method.clone(), path, other).await;
                assert_eq!(allowed(&page), None, "{method} {path} from {other}");
            }
        }
    }
}

/// Scripts of other origins can read no page.
#[tokio::test]
async fn pages_allow_no_origin() {
    for origins in [format!("  allowedOrigins: ['{ALLOWED}']"), "  allowedOrigins: ['*']".into()] {
        let server = world(&origins).start().await;
        for path in PAGES {
            for method in [Method::OPTIONS, Method::GET, Method::POST] {
                let page = cross_origin_request(&server, method.clone(), path, ALLOWED).await;
                assert_eq!(allowed(&page), None, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn without_allowed_origins_no_origin_is_allowed() {
    let server = World::new().start().await;
    for path in CLIENT_ENDPOINTS {
        for origin in [ALLOWED, "null", &server.origin()] {
            let page = cross_origin_request(&server, Method::GET, path, origin).await;
            assert_eq!(allowed(&page), None, "{path} from {origin}");
        }
    }
}

/// `*` allows every origin, but no credentials.
#[tokio::test]
async fn a_wildcard_allows_every_origin_without_credentials() {
    let server = world("  allowedOrigins: ['*']").start().await;
    for path in CLIENT_ENDPOINTS {
        for origin in ["https://evil.example.com", "null"] {
            let page = cross_origin_request(&server, Method::GET, path, origin).await;
            assert_eq!(allowed(&page), Some("*"), "{path} from {origin}");
        }
    }
    // Cookies authenticate nothing at these endpoints.
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    assert_eq!(alice.get(server.url("/userinfo")).await.status, 401);
}
