//! Threats 150, 151 and 154: what an issuer names is opened only if it is a web page, nothing goes through a shell, and
//! a machine without a display gets a code for another device.

use std::net::TcpStream;
use std::path::Path;

use serde_json::json;

use crate::world::{ALICE, ALICE_PASSWORD, Client, OtherOrigin, World, claims};

/// An issuer whose discovery document names this authorization endpoint.
fn issuer_with(authorization_endpoint: &str) -> OtherOrigin {
    OtherOrigin::serving_at(|url| {
        json!({
            "issuer": url,
            "authorization_endpoint": authorization_endpoint,
            "token_endpoint": format!("{url}/token"),
            "device_authorization_endpoint": format!("{url}/device/code"),
        })
        .to_string()
    })
}

/// Threat 150: a discovery document starts no program.
#[tokio::test]
async fn threat_150_only_web_pages_are_opened() {
    let server = World::new().client(Client::public("kubectl")).start().await;
    let alice = server.workstation();
    for endpoint in [
        "file:///bin/sh",
        "calculator:",
        "javascript:alert(1)",
        "--help",
        "-a Calculator",
        "http://login.example.com/auth",
        "ssh://-oProxyCommand=touch%20opened/x",
    ] {
        let issuer = issuer_with(endpoint);
        let mut line = alice.get_token();
        line.retain(|flag| !flag.starts_with("--oidc-issuer-url"));
        line.push(format!("--oidc-issuer-url={}", issuer.url));
        let refused = alice.runs_command(&line);
        let text = refused.failure();
        assert!(text.contains("not https") || text.contains("relative URL"), "{endpoint}: {text}");
        assert_eq!(alice.opened(), [""; 0], "{endpoint}");
        let targets: Vec<_> = issuer.requests().iter().map(|r| r.target.clone()).collect();
        assert_eq!(targets, ["/.well-known/openid-configuration"], "nothing else is requested");
    }
}

/// Threat 150: what looks like a command of a shell is one argument of the browser's program.
#[tokio::test]
async fn threat_150_no_shell_sees_the_address() {
    let server = World::new().client(Client::public("kubectl")).start().await;
    let alice = server.workstation();
    let issuer = issuer_with("https://login.example.com/auth;touch$IFS$HOME/made?a=$(id)&b=`id`");
    let mut line = alice.get_token();
    line.retain(|flag| !flag.starts_with("--oidc-issuer-url"));
    line.push(format!("--oidc-issuer-url={}", issuer.url));
    line.push("--authentication-timeout-sec=1".to_owned());
    alice.runs_command(&line).failure();
    let opened = alice.opens(1).await;
    assert!(opened.starts_with("https://login.example.com/auth;touch$IFS$HOME/made?"), "{opened}");
    assert!(!alice.path("made").exists());
}

/// Threat 151: another issuer's document, as from a proxy that answers for everybody.
#[tokio::test]
async fn threat_151_a_document_of_another_issuer_is_refused() {
    let server = World::new().client(Client::public("kubectl")).start().await;
    let alice = server.workstation();
    let document = json!({
        "issuer": server.issuer(),
        "authorization_endpoint": server.url("/auth"),
        "token_endpoint": server.url("/token"),
    });
    let other = OtherOrigin::serving(&document.to_string());
    // Nor is a redirect to the right one followed.
    let redirecting = OtherOrigin::redirecting_to(&server.url("/.well-known/openid-configuration"));
    for (issuer, expected) in [(other.url, "that of the issuer"), (redirecting.url, "303")] {
        let mut line = alice.get_token();
        line.retain(|flag| !flag.starts_with("--oidc-issuer-url"));
        line.push(format!("--oidc-issuer-url={issuer}"));
        let refused = alice.runs_command(&line);
        assert!(refused.failure().contains(expected), "{expected}: {}", refused.stderr);
        assert_eq!(alice.opened(), [""; 0]);
    }
}

/// Threat 154: over SSH the address and a code for another device are printed, and no browser is started.
#[tokio::test]
async fn threat_154_over_ssh_a_code_for_another_device_is_shown() {
    let server = World::new()
        .client(Client::public("kubectl"))
        .with("oauth2:\n  skipApprovalScreen: true")
        .start()
        .await;
    // The browser of the system, which would open on the wrong machine.
    let alice = server.workstation();
    let browser = alice.path("browser").display().to_string();
    let alice = alice
        .env("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22")
        .env("DISPLAY", ":10")
        .env("BROWSER", &browser);
    let mut line = alice.get_token();
    line.retain(|flag| !flag.starts_with("--browser-command") && !flag.starts_with("--listen"));
    let mut running = alice.starts(&line);
    let user_code = running.user_code();

    let mut phone = server.browser();
    phone.opens(server.url("/device")).await;
    let form = phone.page().form_with("user_code").unwrap().fill("user_code", &user_code);
    phone.submits(form).await;
    phone.clicks("It is mine").await;
    phone.signs_in(ALICE, ALICE_PASSWORD).await;
    phone.approves().await;
    assert_eq!(claims(&running.ends().token())["email"], ALICE);
    assert_eq!(alice.opened(), [""; 0]);
}

/// Threat 154: Ctrl-C while it waits for the browser.
#[tokio::test]
async fn threat_154_an_interrupted_login_leaves_no_listener() {
    let server = World::new().client(Client::public("kubectl")).start().await;
    let alice = server.workstation();
    // The tests may run in the background of a shell, whose children ignore SIGINT.
    let program = alice.linked_as("kubectl-countersign").display().to_string();
    let mut line = vec!["--default-signal=INT".to_owned(), program];
    line.extend(alice.get_token());
    let running = alice.starts_program(Path::new("/usr/bin/env"), &line);
    let url = reqwest::Url::parse(&alice.opens(1).await).unwrap();
    let redirect = url.query_pairs().find(|(key, _)| key == "redirect_uri").unwrap().1.into_owned();
    let address = redirect.trim_start_matches("http://").to_owned();
    assert!(TcpStream::connect(&address).is_ok(), "it listens while it waits");
    let printed = running.interrupted();
    assert!(!printed.is_success && printed.stdout.is_empty(), "{}", printed.stdout);
    assert!(TcpStream::connect(&address).is_err(), "nobody listens any more");
    // It is not in the way of the next one.
    let running = alice.starts(&alice.login());
    alice.signs_in(2, &mut server.browser()).await;
    let printed = running.ends();
    assert!(printed.stderr.contains(&format!("Signed in as {ALICE}")), "{}", printed.stderr);
}
