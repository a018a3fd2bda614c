//! The exec credential plugin: one login, then tokens from the cache, refreshed before they expire.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::world::{ALICE, Client, Need, World, claims};

const EXEC_INFO: &str = r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","spec":{"interactive":false}}"#;

fn world() -> World {
    World::new().client(Client::public("kubectl"))
}

/// Threat 153: the credential is all that is on standard output, and no token is elsewhere.
#[tokio::test]
async fn one_login_then_the_cached_token() {
    let server = world().start().await;
    let alice = server.workstation().env("KUBERNETES_EXEC_INFO", EXEC_INFO);
    let first = alice.starts(&alice.get_token());
    let page = alice.signs_in(1, &mut server.browser()).await;
    assert_eq!(page.all("h1"), ["You are signed in"]);
    for shown in [ALICE, "admins", "developers", "Token until"] {
        assert!(page.text().contains(shown), "{shown}: {}", page.text());
    }
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));

    let first = first.ends();
    let credential = first.credential();
    assert_eq!(credential["apiVersion"], "client.authentication.k8s.io/v1beta1");
    let token = first.token();
    assert_eq!(claims(&token)["email"], ALICE);
    assert_eq!(claims(&token)["groups"], serde_json::json!(["admins", "developers"]));
    assert!(credential["status"]["expirationTimestamp"].as_str().unwrap().ends_with('Z'));

    let second = alice.runs_command(&alice.get_token());
    assert_eq!(second.token(), token, "the cached one");
    assert_eq!(second.stderr, "", "nothing to say");
    assert_eq!(alice.opened().len(), 1, "no second tab");
    alice.keeps_cached_tokens_secret();
    server.assert_no_secret_in("standard error of the login", &first.stderr);
}

#[tokio::test]
async fn the_token_is_refreshed_before_it_expires() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = super::ten_minute_tokens().await;
    let alice = server.workstation();
    let first = alice.first_token(&server).await;
    // 20 seconds before its expiry.
    server.advance(Duration::from_secs(580));
    let second = alice.runs_command(&alice.get_token()).token();
    assert_ne!(second, first);
    assert_eq!(claims(&second)["sub"], claims(&first)["sub"]);
    // An hour later, long after it expired.
    server.advance(Duration::from_hours(1));
    assert_ne!(alice.runs_command(&alice.get_token()).token(), second);
    assert_eq!(alice.opened().len(), 1, "all of it by one login");
}

#[tokio::test]
async fn an_entry_of_kubelogin_needs_another_binary_only() {
    let server = world().start().await;
    let alice = server.workstation();
    let kubelogin = alice.linked_as("kubectl-oidc_login");
    let mut line = alice.get_token();
    line.extend(["--oidc-use-pkce", "--grant-type=authcode", "-v9"].map(str::to_owned));
    let running = alice.starts_program(&kubelogin, &line);
    alice.signs_in(1, &mut server.browser()).await;
    let printed = running.ends();
    assert_eq!(claims(&printed.token())["email"], ALICE);
    // kubectl before 1.20 sets no KUBERNETES_EXEC_INFO and knows this version only.
    assert_eq!(printed.credential()["apiVersion"], "client.authentication.k8s.io/v1beta1");
    // Threat 153: nor is a token in what the highest level of detail prints, or in the address given to the browser.
    alice.keeps_cached_tokens_secret();
    server.assert_no_secret_in("standard error", &printed.stderr);
    server.assert_no_secret_in("the browser's arguments", &alice.opened().join("\n"));
    // The same login as without these flags.
    alice.runs_command(&alice.get_token()).token();
    assert_eq!(alice.opened().len(), 1);
}

/// Threat 152, counted at the server.
#[tokio::test]
async fn twenty_at_once_share_one_login_and_one_refresh() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = super::ten_minute_tokens().await;
    let alice = server.workstation();
    let issued = |server: &crate::world::Server| server.count_in_log("tokens issued");
    let running: Vec<_> = (0..20).map(|_| alice.starts(&alice.get_token())).collect();
    alice.signs_in(1, &mut server.browser()).await;
    let tokens: Vec<_> = running.into_iter().map(|one| one.ends().token()).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!((alice.opened().len(), issued(&server)), (1, 1));

    server.advance(Duration::from_mins(15));
    let running: Vec<_> = (0..20).map(|_| alice.starts(&alice.get_token())).collect();
    let refreshed: Vec<_> = running.into_iter().map(|one| one.ends().token()).collect();
    assert!(refreshed.iter().all(|token| *token == refreshed[0] && *token != tokens[0]));
    assert_eq!((alice.opened().len(), issued(&server)), (1, 2));
}

#[tokio::test]
async fn a_code_typed_by_hand_needs_no_listener() {
    let oob = "urn:ietf:wg:oauth:2.0:oob";
    let server = World::new().client(Client::public("kubectl").redirects_to(&[oob])).start().await;
    let alice = server.workstation();
    let mut line = alice.get_token();
    line.push("--grant-type=authcode-keyboard".to_owned());
    // Without a terminal the code cannot be typed.
    let refused = alice.runs_command(&line);
    assert!(refused.failure().contains("needs a terminal"), "{}", refused.stderr);
    let typed = alice.runs_on_terminal(80, &line, "\n");
    assert!(!typed.is_success);
    assert!(typed.stdout.contains("Enter the code:"), "{}", typed.stdout);
    assert!(typed.stdout.contains("no code was typed"), "{}", typed.stdout);
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_named() {
    let server = World::https().client(Client::public("kubectl")).start().await;
    let alice = server.workstation();
    let line = alice.get_token();
    let without_ca: Vec<_> =
        line.iter().filter(|flag| !flag.starts_with("--certificate-authority")).collect();
    let refused = alice.runs_command(&without_ca);
    let text = refused.failure();
    assert!(text.contains("UnknownIssuer") && text.contains("--certificate-authority"), "{text}");
    assert_eq!(alice.opened().len(), 0);
    let running = alice.starts(&line);
    alice.signs_in(1, &mut server.browser()).await;
    assert_eq!(claims(&running.ends().token())["email"], ALICE);
}

#[tokio::test]
async fn another_issuer_than_the_documents_and_plain_http_are_refused() {
    let server = world().start().await;
    let alice = server.workstation();
    let line = |issuer: &str| {
        alice
            .get_token()
            .into_iter()
            .map(|flag| match flag.starts_with("--oidc-issuer-url") {
                true => format!("--oidc-issuer-url={issuer}"),
                false => flag,
            })
            .collect::<Vec<_>>()
    };
    let refused = alice.runs_command(&line("http://id.example.com/dex"));
    assert!(refused.failure().contains("is not https"), "{}", refused.stderr);
    let other = server.issuer().replace("/dex", "/none");
    let refused = alice.runs_command(&line(&other));
    assert!(refused.failure().contains("is this the issuer's URL?"), "{}", refused.stderr);
}

/// Threat 153. A browser that runs in the terminal inherits standard output and stays until it is closed; meanwhile it has
/// to get the page at the end of the login.
#[tokio::test]
async fn what_a_browser_in_the_terminal_prints_is_not_in_the_credential() {
    let server = world().start().await;
    let alice = server.workstation();
    // The name by which the library for browsers recognizes one that runs in the terminal.
    let browser = alice.path("w3m");
    let script = "#!/bin/sh\necho \"$1\" >> \"$HOME/opened\"\necho 'a page in the terminal'\n\
                  until [ -e \"$HOME/closed\" ]; do sleep 0.1; done\n";
    std::fs::write(&browser, script).unwrap();
    std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o755)).unwrap();
    let alice = alice.env("BROWSER", &browser.display().to_string());
    let mut line = alice.get_token();
    line.retain(|flag| !flag.starts_with("--browser-command"));
    let running = alice.starts(&line);
    let page = alice.signs_in(1, &mut server.browser()).await;
    assert_eq!(page.all("h1"), ["You are signed in"]);
    std::fs::write(alice.path("closed"), "").unwrap();
    let printed = running.ends();
    assert_eq!(claims(&printed.token())["email"], ALICE);
    assert!(printed.stderr.contains("a page in the terminal"), "{}", printed.stderr);
}
