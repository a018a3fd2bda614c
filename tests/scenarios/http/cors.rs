//! Scripts of other sites (threat K 123): those of configured origins may read what programs read, and
//! nobody's script ever acts with her cookies.

use reqwest::Method;

use crate::world::http::{bare_client, send};
use crate::world::{ALICE, ALICE_PASSWORD, Page, Server, World};

const ALLOWED: &str = "https://app.example.com";
const FOR_PROGRAMS: [&str; 4] =
    ["/token", "/userinfo", "/keys", "/.well-known/openid-configuration"];
const FOR_PEOPLE: [&str; 5] = ["/", "/auth", "/approval", "/logout", "/healthz"];

/// Whose word is nearly, or not at all, the allowed one's.
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

async fn asked(server: &Server, method: Method, path: &str, origin: &str) -> Page {
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
async fn an_origin_is_allowed_when_it_is_written_down_to_the_letter() {
    let server = world(&format!("  allowedOrigins: ['{ALLOWED}']")).start().await;
    for path in FOR_PROGRAMS {
        let before = asked(&server, Method::OPTIONS, path, ALLOWED).await;
        assert_eq!((before.status, allowed(&before)), (200, Some(ALLOWED)), "{path}");
        let headers = before.header("access-control-allow-headers").unwrap_or_default();
        assert!(headers.eq_ignore_ascii_case("authorization"), "{path}: {headers}");
        for method in [Method::GET, Method::POST] {
            let page = asked(&server, method, path, ALLOWED).await;
            assert_eq!(allowed(&page), Some(ALLOWED), "{path}: {}", page.status);
            let vary = page.header("vary").unwrap_or_default().to_lowercase();
            assert!(vary.contains("origin"), "or a cache would give it to others: {path}: {vary}");
        }
        for other in OTHERS {
            for method in [Method::OPTIONS, Method::GET, Method::POST] {
                let page = asked(&server, method.clone(), path, other).await;
                assert_eq!(allowed(&page), None, "{method} {path} from {other}");
            }
        }
    }
}

/// A page with her name on it is never read by a script from elsewhere.
#[tokio::test]
async fn what_is_for_people_is_for_no_script() {
    for origins in [format!("  allowedOrigins: ['{ALLOWED}']"), "  allowedOrigins: ['*']".into()] {
        let server = world(&origins).start().await;
        for path in FOR_PEOPLE {
            for method in [Method::OPTIONS, Method::GET, Method::POST] {
                let page = asked(&server, method.clone(), path, ALLOWED).await;
                assert_eq!(allowed(&page), None, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn without_a_word_in_the_configuration_no_script_may_read() {
    let server = World::new().start().await;
    for path in FOR_PROGRAMS {
        for origin in [ALLOWED, "null", &server.origin()] {
            let page = asked(&server, Method::GET, path, origin).await;
            assert_eq!(allowed(&page), None, "{path} from {origin}");
        }
    }
}

/// `*` is for everybody and therefore for nobody in particular.
#[tokio::test]
async fn any_origin_means_without_credentials() {
    let server = world("  allowedOrigins: ['*']").start().await;
    for path in FOR_PROGRAMS {
        for origin in ["https://evil.example.com", "null"] {
            let page = asked(&server, Method::GET, path, origin).await;
            assert_eq!(allowed(&page), Some("*"), "{path} from {origin}");
        }
    }
    // What a script could read is what it could read anyway: her cookies open nothing there.
    let (mut alice, app) = (server.browser(), server.relying_party("example-app"));
    alice.logs_in(&app.auth_request("openid"), ALICE, ALICE_PASSWORD).await;
    assert_eq!(alice.get(server.url("/userinfo")).await.status, 401);
}
