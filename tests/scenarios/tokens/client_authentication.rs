//! Client authentication at the token endpoint (threats C 40-42): one method, encoded as in RFC 6749 section
//! 2.3.1; errors do not reveal what was wrong.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::world::http::{bare_client, send};
use crate::world::{Client, Page, Server, World};

/// A grant that cannot succeed: `invalid_grant` shows that the client is authenticated.
const NO_CODE: &str = "grant_type=authorization_code&code=no-such-code";
const SECRET: &str = "the-secret-of-example-app-61616161";

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// The response of `POST /token` to these `Authorization` headers and this body.
async fn token_response(server: &Server, authorization: &[String], body: &str) -> Page {
    response_at(server, "/token", authorization, body).await
}

async fn response_at(server: &Server, path: &str, authorization: &[String], body: &str) -> Page {
    let mut request = bare_client().post(server.url(path));
    for value in authorization {
        request = request.header("authorization", value);
    }
    let form = "application/x-www-form-urlencoded";
    send(request.header("content-type", form).body(body.to_owned())).await
}

fn assert_authenticated(page: &Page) {
    assert!(page.status == 400 && page.body.contains("invalid_grant"), "{page:?}");
}

/// `invalid_client`, whatever the method.
fn assert_not_authenticated(page: &Page, reason: &str) {
    let error: serde_json::Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!((page.status, &error["error"]), (401, &"invalid_client".into()), "{reason}");
}

/// As a client that used the `Authorization` header is refused (RFC 6749 section 5.2).
fn assert_refused(page: &Page, reason: &str) {
    assert_not_authenticated(page, reason);
    let challenge = page.header("www-authenticate").unwrap_or_default();
    assert!(challenge.starts_with("Basic realm="), "{reason}: {challenge}");
}

/// A client that did not use Basic gets no challenge, since browser scripts lose the error code to it.
fn assert_refused_without_challenge(page: &Page, reason: &str) {
    assert_not_authenticated(page, reason);
    assert_eq!(page.header("www-authenticate"), None, "{reason}");
}

fn assert_invalid_request(page: &Page, reason: &str) {
    let error: serde_json::Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!((page.status, &error["error"]), (400, &"invalid_request".into()), "{reason}");
}

/// C 40, O 167; RFC 6749 sections 2.3 and 3.2. The same credentials in header and body are one set, as Python's
/// `kubernetes` client and Dovecot send them, and an empty parameter is an omitted one.
#[tokio::test]
async fn different_credentials_in_header_and_body_are_refused_and_equal_ones_accepted() {
    let server = World::new().start().await;
    let in_header = basic("example-app", SECRET);
    let in_body = format!("{NO_CODE}&client_id=example-app&client_secret={SECRET}");
    assert_authenticated(&token_response(&server, std::slice::from_ref(&in_header), NO_CODE).await);
    assert_authenticated(&token_response(&server, &[], &in_body).await);
    let named = format!("{NO_CODE}&client_id=example-app");
    assert_authenticated(&token_response(&server, std::slice::from_ref(&in_header), &named).await);

    assert_authenticated(
        &token_response(&server, std::slice::from_ref(&in_header), &in_body).await,
    );
    for empty in ["client_secret=", "client_id=", "client_id=example-app&client_secret="] {
        let body = format!("{NO_CODE}&{empty}");
        assert_authenticated(
            &token_response(&server, std::slice::from_ref(&in_header), &body).await,
        );
    }
    for other in [
        "client_id=another-app",
        "client_secret=another",
        "client_id=example-app&client_secret=another",
    ] {
        let body = format!("{NO_CODE}&{other}");
        let page = token_response(&server, std::slice::from_ref(&in_header), &body).await;
        assert_invalid_request(&page, other);
    }
    let twice = token_response(&server, &[in_header.clone(), in_header], NO_CODE).await;
    assert_invalid_request(&twice, "two headers");
    let wrong = format!("{NO_CODE}&client_id=example-app&client_secret=another");
    assert_refused_without_challenge(
        &token_response(&server, &[], &wrong).await,
        "a wrong secret in the body",
    );
}

/// The same at every endpoint that authenticates clients (RFC 7009 section 2.1, RFC 7662 section 2.1, RFC 8628 section
/// 3.1).
#[tokio::test]
async fn every_endpoint_reads_the_credentials_in_the_same_way() {
    let server = World::new().start().await;
    let device = "grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code=no-such-code";
    for (path, body) in [
        ("/token", NO_CODE),
        ("/token/introspect", "token=none"),
        ("/revoke", "token=none"),
        ("/device/code", "scope=openid"),
        ("/device/token", device),
    ] {
        let sends = async |secret: Option<&str>, more: &str| {
            let header = secret.map(|secret| basic("example-app", secret));
            response_at(&server, path, header.as_slice(), &format!("{body}{more}")).await
        };
        for (secret, same) in [
            (Some(SECRET), ""),
            (Some(SECRET), "&client_id=example-app"),
            (Some(SECRET), "&client_id=&client_secret="),
            (Some(SECRET), &format!("&client_id=example-app&client_secret={SECRET}")),
            (None, &format!("&client_id=example-app&client_secret={SECRET}")),
        ] {
            let page = sends(secret, same).await;
            let error = page.body.contains("invalid_client") || page.body.contains("two different");
            assert!(page.status != 401 && !error, "{path} {same}: {page:?}");
        }
        for other in ["&client_id=another-app", "&client_id=example-app&client_secret=another"] {
            assert_invalid_request(&sends(Some(SECRET), other).await, &format!("{path} {other}"));
        }
        assert_refused(&sends(Some("another"), "").await, path);
        let in_body = "&client_id=example-app&client_secret=another";
        assert_refused_without_challenge(&sends(None, in_body).await, path);
    }
}

/// C 40.
#[tokio::test]
async fn a_malformed_authorization_header_is_refused() {
    let server = World::new().client(Client::public("cli")).start().await;
    let right = STANDARD.encode(format!("example-app:{SECRET}"));
    for wrong in [
        format!("Bearer {right}"),
        format!("Basic{right}"),
        right.clone(),
        "Basic".to_owned(),
        "Basic ====".to_owned(),
        format!("Basic {}", STANDARD.encode("example-app")),
        format!("Basic {}", STANDARD.encode(b"example-app:\xff\xfe")),
        basic("example-app", &SECRET.replace('6', "%")),
    ] {
        let body = format!("{NO_CODE}&client_id=cli");
        assert_refused(&token_response(&server, std::slice::from_ref(&wrong), &body).await, &wrong);
    }
    assert_authenticated(&token_response(&server, &[format!("basic {right}")], NO_CODE).await);
    assert_refused_without_challenge(&token_response(&server, &[], NO_CODE).await, "nobody");
    let empty = token_response(&server, &[], &format!("{NO_CODE}&client_id=")).await;
    assert_refused_without_challenge(&empty, "an empty id");
}

/// C 40; RFC 6749 section 2.3.1: both halves are form-encoded before they are joined by a colon.
#[tokio::test]
async fn ids_and_secrets_may_contain_any_character() {
    let (id, secret) = ("urn:app+one", "p:s+w %zé&=7");
    let mut client = Client::new(id).redirects_to(&["https://app.example.com/callback"]);
    client.secret = Some(secret.into());
    let server = World::new().client(client).start().await;
    let fields = [("grant_type", "authorization_code"), ("code", "no-such-code")];
    let encoded = server.relying_party(id).exchange(&fields).await;
    assert_eq!((encoded.status, encoded.error()), (400, "invalid_grant"));

    // Some libraries send `%20` for a space and encode characters that need no encoding.
    let spelled = basic("urn%3Aapp%2Bone", "%70:s%2Bw%20%25z%C3%A9%26%3D7");
    assert_authenticated(&token_response(&server, &[spelled], NO_CODE).await);
    // Unencoded it is another secret, and is not reinterpreted.
    assert_refused(&token_response(&server, &[basic(id, secret)], NO_CODE).await, "not encoded");
    let spaces = basic("urn%3Aapp one", "p%3As w+%25z%C3%A9%26%3D7");
    assert_refused(&token_response(&server, &[spaces], NO_CODE).await, "a plus that is a space");
    let lower = basic("URN%3Aapp%2Bone", "p%3As%2Bw+%25z%C3%A9%26%3D7");
    assert_refused(&token_response(&server, &[lower], NO_CODE).await, "another spelling of the id");
}

/// C 41: errors do not reveal which clients exist.
#[tokio::test]
async fn an_unknown_client_and_a_wrong_secret_get_the_same_error() {
    let server = World::new().client(Client::public("cli")).start().await;
    let wrong = "not-the-secret-of-anybody-0123";
    let mut responses = Vec::new();
    for id in ["example-app", "nobody", "cli", ""] {
        let in_body = format!("{NO_CODE}&client_id={id}&client_secret={wrong}");
        for page in [
            token_response(&server, &[basic(id, wrong)], NO_CODE).await,
            token_response(&server, &[], &in_body).await,
        ] {
            // The challenge depends on the method, not on the client.
            let varies = |name: &str| matches!(name, "date" | "x-request-id" | "www-authenticate");
            let headers = page.headers.iter().filter(|(name, _)| !varies(name.as_str()));
            let headers: Vec<_> = headers.map(|(k, v)| (k.clone(), v.clone())).collect();
            responses.push((page.status, headers, page.body));
        }
    }
    assert_eq!(responses[0].0, 401);
    for other in &responses {
        assert_eq!(other, &responses[0]);
    }
}

/// C 42.
#[tokio::test]
async fn an_empty_secret_is_refused() {
    let server = World::new().client(Client::public("cli")).start().await;
    let body = |id: &str, more: &str| format!("{NO_CODE}&client_id={id}{more}");
    for (header, body) in [
        (vec![], body("example-app", "")),
        (vec![], body("example-app", "&client_secret=")),
        (vec![basic("example-app", "")], NO_CODE.to_owned()),
        (vec![], body("cli", "&client_secret=a-guess-of-somebody")),
        (vec![basic("cli", "a-guess-of-somebody")], NO_CODE.to_owned()),
    ] {
        let (page, reason) =
            (token_response(&server, &header, &body).await, format!("{header:?} {body}"));
        match header.is_empty() {
            true => assert_refused_without_challenge(&page, &reason),
            false => assert_refused(&page, &reason),
        }
    }
    for (header, body) in [
        (vec![], body("cli", "")),
        (vec![], body("cli", "&client_secret=")),
        (vec![basic("cli", "")], NO_CODE.to_owned()),
    ] {
        assert_authenticated(&token_response(&server, &header, &body).await);
    }
}

/// C 42: a confidential client needs a secret.
#[tokio::test]
async fn a_client_with_an_empty_secret_is_a_configuration_error() {
    for secret in ["  secret: ''\n", ""] {
        let client = "- id: app\n  name: App\n  redirectURIs: ['https://app.example.com/cb']\n";
        let world = World::new().with(&format!("staticClients:\n{client}{secret}"));
        let output = world.refuses_to_start().await;
        assert!(output.contains("staticClients[0]") && output.contains("secret"), "{output}");
    }
}
