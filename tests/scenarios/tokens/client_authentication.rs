//! How an application proves itself at the token endpoint (threats C 40-42): by one method, spelled as
//! RFC 6749 section 2.3.1 says, and without a word about what exactly was wrong.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::world::http::{bare_client, send};
use crate::world::{Client, Page, Server, World};

/// A grant that cannot succeed: `invalid_grant` means that the client has proved itself.
const NO_CODE: &str = "grant_type=authorization_code&code=no-such-code";
const SECRET: &str = "the-secret-of-example-app-61616161";

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// What `POST /token` answers to these `Authorization` headers and this body.
async fn told(server: &Server, authorization: &[String], body: &str) -> Page {
    let mut request = bare_client().post(server.url("/token"));
    for value in authorization {
        request = request.header("authorization", value);
    }
    let form = "application/x-www-form-urlencoded";
    send(request.header("content-type", form).body(body.to_owned())).await
}

fn assert_proven(page: &Page) {
    assert!(page.status == 400 && page.body.contains("invalid_grant"), "{page:?}");
}

/// `invalid_client`, whatever the method.
fn assert_not_authenticated(page: &Page, why: &str) {
    let error: serde_json::Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!((page.status, &error["error"]), (401, &"invalid_client".into()), "{why}");
}

/// As a client is refused that tried the `Authorization` header (RFC 6749 section 5.2).
fn assert_refused(page: &Page, why: &str) {
    assert_not_authenticated(page, why);
    let challenge = page.header("www-authenticate").unwrap_or_default();
    assert!(challenge.starts_with("Basic realm="), "{why}: {challenge}");
}

/// Scripts in browsers lose the error code to a Basic challenge, so a client that did not try Basic gets none.
fn assert_refused_without_challenge(page: &Page, why: &str) {
    assert_not_authenticated(page, why);
    assert_eq!(page.header("www-authenticate"), None, "{why}");
}

fn assert_invalid_request(page: &Page, why: &str) {
    let error: serde_json::Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!((page.status, &error["error"]), (400, &"invalid_request".into()), "{why}");
}

/// C 40, O 167; RFC 6749 sections 2.3 and 3.2. The same credentials in header and body are one set, as Python's
/// `kubernetes` client and Dovecot send them, and an empty parameter is an omitted one.
#[tokio::test]
async fn different_credentials_in_header_and_body_are_refused_and_equal_ones_accepted() {
    let server = World::new().start().await;
    let in_header = basic("example-app", SECRET);
    let in_body = format!("{NO_CODE}&client_id=example-app&client_secret={SECRET}");
    assert_proven(&told(&server, std::slice::from_ref(&in_header), NO_CODE).await);
    assert_proven(&told(&server, &[], &in_body).await);
    let named = format!("{NO_CODE}&client_id=example-app");
    assert_proven(&told(&server, std::slice::from_ref(&in_header), &named).await);

    assert_proven(&told(&server, std::slice::from_ref(&in_header), &in_body).await);
    for empty in ["client_secret=", "client_id=", "client_id=example-app&client_secret="] {
        let body = format!("{NO_CODE}&{empty}");
        assert_proven(&told(&server, std::slice::from_ref(&in_header), &body).await);
    }
    for other in [
        "client_id=another-app",
        "client_secret=another",
        "client_id=example-app&client_secret=another",
    ] {
        let body = format!("{NO_CODE}&{other}");
        let page = told(&server, std::slice::from_ref(&in_header), &body).await;
        assert_invalid_request(&page, other);
    }
    let twice = told(&server, &[in_header.clone(), in_header], NO_CODE).await;
    assert_invalid_request(&twice, "two headers");
    let wrong = format!("{NO_CODE}&client_id=example-app&client_secret=another");
    assert_refused_without_challenge(
        &told(&server, &[], &wrong).await,
        "a wrong secret in the body",
    );
}

/// C 40.
#[tokio::test]
async fn what_is_not_basic_is_no_proof() {
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
        assert_refused(&told(&server, std::slice::from_ref(&wrong), &body).await, &wrong);
    }
    assert_proven(&told(&server, &[format!("basic {right}")], NO_CODE).await);
    assert_refused_without_challenge(&told(&server, &[], NO_CODE).await, "nobody");
    let empty = told(&server, &[], &format!("{NO_CODE}&client_id=")).await;
    assert_refused_without_challenge(&empty, "an empty id");
}

/// C 40; RFC 6749 section 2.3.1: both halves are form-encoded before they are joined by a colon.
#[tokio::test]
async fn an_id_and_a_secret_may_hold_any_character() {
    let (id, secret) = ("urn:app+one", "p:s+w %zé&=7");
    let mut client = Client::new(id).redirects_to(&["https://app.example.com/callback"]);
    client.secret = Some(secret.into());
    let server = World::new().client(client).start().await;
    let fields = [("grant_type", "authorization_code"), ("code", "no-such-code")];
    let encoded = server.relying_party(id).exchange(&fields).await;
    assert_eq!((encoded.status, encoded.error()), (400, "invalid_grant"));

    // Some libraries send `%20` for a space, and encode what needs none.
    let spelled = basic("urn%3Aapp%2Bone", "%70:s%2Bw%20%25z%C3%A9%26%3D7");
    assert_proven(&told(&server, &[spelled], NO_CODE).await);
    // As it stands it means another secret, and nobody guesses which one was meant.
    assert_refused(&told(&server, &[basic(id, secret)], NO_CODE).await, "not encoded");
    let spaces = basic("urn%3Aapp one", "p%3As w+%25z%C3%A9%26%3D7");
    assert_refused(&told(&server, &[spaces], NO_CODE).await, "a plus that is a space");
    let lower = basic("URN%3Aapp%2Bone", "p%3As%2Bw+%25z%C3%A9%26%3D7");
    assert_refused(&told(&server, &[lower], NO_CODE).await, "another spelling of the id");
}

/// C 41: nobody learns which clients there are.
#[tokio::test]
async fn an_unknown_client_is_told_the_same_as_one_with_a_wrong_secret() {
    let server = World::new().client(Client::public("cli")).start().await;
    let wrong = "not-the-secret-of-anybody-0123";
    let mut said = Vec::new();
    for id in ["example-app", "nobody", "cli", ""] {
        let in_body = format!("{NO_CODE}&client_id={id}&client_secret={wrong}");
        for page in
            [told(&server, &[basic(id, wrong)], NO_CODE).await, told(&server, &[], &in_body).await]
        {
            // The challenge depends on the method, not on the client.
            let varies = |name: &str| matches!(name, "date" | "x-request-id" | "www-authenticate");
            let headers = page.headers.iter().filter(|(name, _)| !varies(name.as_str()));
            let headers: Vec<_> = headers.map(|(k, v)| (k.clone(), v.clone())).collect();
            said.push((page.status, headers, page.body));
        }
    }
    assert_eq!(said[0].0, 401);
    for other in &said {
        assert_eq!(other, &said[0]);
    }
}

/// C 42.
#[tokio::test]
async fn an_empty_secret_is_no_secret() {
    let server = World::new().client(Client::public("cli")).start().await;
    let body = |id: &str, more: &str| format!("{NO_CODE}&client_id={id}{more}");
    for (header, body) in [
        (vec![], body("example-app", "")),
        (vec![], body("example-app", "&client_secret=")),
        (vec![basic("example-app", "")], NO_CODE.to_owned()),
        (vec![], body("cli", "&client_secret=a-guess-of-somebody")),
        (vec![basic("cli", "a-guess-of-somebody")], NO_CODE.to_owned()),
    ] {
        let (page, why) = (told(&server, &header, &body).await, format!("{header:?} {body}"));
        match header.is_empty() {
            true => assert_refused_without_challenge(&page, &why),
            false => assert_refused(&page, &why),
        }
    }
    for (header, body) in [
        (vec![], body("cli", "")),
        (vec![], body("cli", "&client_secret=")),
        (vec![basic("cli", "")], NO_CODE.to_owned()),
    ] {
        assert_proven(&told(&server, &header, &body).await);
    }
}

/// C 42: an application that keeps a secret has one.
#[tokio::test]
async fn it_does_not_start_with_a_client_whose_secret_is_empty() {
    for secret in ["  secret: ''\n", ""] {
        let client = "- id: app\n  name: App\n  redirectURIs: ['https://app.example.com/cb']\n";
        let world = World::new().with(&format!("staticClients:\n{client}{secret}"));
        let said = world.refuses_to_start().await;
        assert!(said.contains("staticClients[0]") && said.contains("secret"), "{said}");
    }
}
