//! What the plugin does when a login fails or a session ends.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::world::{ALICE, Client, Need, OtherOrigin, World, claims};

#[tokio::test]
async fn a_machine_without_a_person_opens_no_second_tab_after_a_failed_login() {
    let server = World::new().client(Client::public("kubectl")).start().await;
    let alice = server.workstation();
    let mut line = alice.get_token();
    line.push("--authentication-timeout-sec=1".to_owned());
    let first = alice.runs_command(&line);
    assert!(first.failure().contains("nobody signed in within 1 s"), "{}", first.stderr);
    // The browser is a process of its own, which may be slower than the login's end.
    alice.opens(1).await;
    for _ in 0..3 {
        let text = alice.runs_command(&line).failure().to_owned();
        assert!(text.contains("no browser is opened again"), "{text}");
        assert!(text.contains("kubectl countersign login"), "{text}");
    }
    assert_eq!(alice.opened().len(), 1, "one tab in all");

    // With `login` the person is present, so the browser is opened.
    let running = alice.starts(&alice.login());
    alice.signs_in(2, &mut server.browser()).await;
    let printed = running.ends();
    assert!(printed.stderr.contains(&format!("Signed in as {ALICE}")), "{}", printed.stderr);
    assert_eq!(claims(&alice.runs_command(&alice.get_token()).token())["email"], ALICE);
    assert_eq!(alice.opened().len(), 2);
}

/// An editor that polls two clusters whose entries ask for different tokens.
#[tokio::test]
async fn a_failed_login_counts_for_the_other_clusters_of_an_unattended_machine() {
    let server = World::new().client(Client::public("kubectl")).start().await;
    let alice = server.workstation();
    let mut first = alice.get_token();
    first.push("--authentication-timeout-sec=1".to_owned());
    let mut second = alice.get_token();
    second.push("--oidc-auth-request-extra-params=ui_locales=de".to_owned());
    let mut other = alice.get_token();
    other.push("--oidc-auth-request-extra-params=ui_locales=en".to_owned());
    assert!(alice.runs_command(&first).failure().contains("nobody signed in"));
    alice.opens(1).await;
    let text = alice.runs_command(&second).failure().to_owned();
    assert!(text.contains("no browser is opened again"), "{text}");
    // `login` would get other tokens than this entry needs.
    assert!(text.contains("kubectl auth whoami"), "{text}");
    assert_eq!(alice.opened().len(), 1);

    // Whoever deletes what is cached asks for new logins.
    assert!(alice.runs_command(&["clean"]).is_success);
    let running = alice.starts(&second);
    alice.opens(2).await;
    drop(running);
    let text = alice.runs_command(&first).failure().to_owned();
    assert!(text.contains("no browser is opened again"), "{text}");

    // Once a person has signed in at one of them, the other one may ask.
    let running = alice.starts(&alice.login());
    alice.signs_in(3, &mut server.browser()).await;
    running.ends();
    let running = alice.starts(&other);
    alice.signs_in(4, &mut server.browser()).await;
    assert_eq!(claims(&running.ends().token())["email"], ALICE);
}

/// `kubectl` in a loop, or a program such as k9s that polls, on a terminal at which nobody types.
#[tokio::test]
async fn a_terminal_at_which_nobody_types_gets_no_second_tab() {
    let server = World::new().client(Client::public("kubectl")).start().await;
    let alice = server.workstation();
    let program = alice.linked_as("kubectl-countersign").display().to_string();
    let words: Vec<String> = alice.get_token().iter().map(|word| format!("'{word}'")).collect();
    let command = format!("{program} {} --authentication-timeout-sec=1", words.join(" "));
    let on_terminal_idle_for = |time: &str| {
        let line = format!("touch -a -d '{time} ago' \"$(tty)\"; {command}");
        let arguments = ["--quiet", "--return", "--command", &line, "/dev/null"];
        let shown = alice.starts_program(Path::new("/usr/bin/script"), &arguments).ends().stdout;
        // The message is broken into lines.
        shown.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let first = on_terminal_idle_for("1 hour");
    assert!(first.contains("nobody signed in within 1 s"), "the first one: {first}");
    alice.opens(1).await;
    let second = on_terminal_idle_for("1 hour");
    assert!(second.contains("no browser is opened again"), "{second}");
    assert_eq!(alice.opened().len(), 1);
    let typed = on_terminal_idle_for("1 second");
    assert!(typed.contains("nobody signed in within 1 s"), "{typed}");
    alice.opens(2).await;
}

#[tokio::test]
async fn those_that_waited_for_a_failed_login_fail_with_it() {
    let server = World::new().client(Client::public("kubectl")).start().await;
    let alice = server.workstation();
    let mut line = alice.get_token();
    line.push("--authentication-timeout-sec=2".to_owned());
    let running: Vec<_> = (0..8).map(|_| alice.starts(&line)).collect();
    for one in running {
        let printed = one.ends();
        assert!(printed.failure().contains("nobody signed in"), "{}", printed.stderr);
    }
    alice.opens(1).await;
    assert_eq!(alice.opened().len(), 1);
}

#[tokio::test]
async fn an_ended_session_is_noticed_within_half_a_minute_and_reported() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = super::ten_minute_tokens().await;
    let alice = server.workstation();
    let token = alice.first_token(&server).await;
    let sid = claims(&token)["sid"].as_str().unwrap().to_owned();
    let ended = server.runs_command(&["sessions", "end", &sid, "--config", "CONFIG"], &[]);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    server.advance(Duration::from_secs(31));
    let mut line = alice.get_token();
    line.push("--authentication-timeout-sec=1".to_owned());
    let printed = alice.runs_command(&line);
    let text = printed.failure();
    assert!(text.contains("ended by an administrator at 20"), "{text}");
    alice.opens(2).await;
    assert_eq!(alice.opened().len(), 2, "one new login was offered");
    // From now on the end is reported without opening a tab, also by `status`.
    let text = alice.runs_command(&line).failure().to_owned();
    assert!(text.contains("by an administrator at 20"), "{text}");
    let status = alice.runs_command(&["status"]);
    assert!(
        !status.is_success && status.stderr.contains("by an administrator"),
        "{}",
        status.stderr
    );
    assert_eq!(alice.opened().len(), 2);
}

#[tokio::test]
async fn a_valid_token_is_handed_out_while_the_server_is_down() {
    if Need::Clock.is_missing() {
        return;
    }
    let mut server = super::ten_minute_tokens().await;
    let alice = server.workstation();
    let token = alice.first_token(&server).await;
    server.stop().await;
    server.advance(Duration::from_mins(1));
    assert_eq!(alice.runs_command(&alice.get_token()).token(), token);
    let status = alice.runs_command(&["status"]);
    assert!(status.stdout.contains(&format!("signed in as  {ALICE}")), "{}", status.stdout);
    assert!(status.stdout.contains("cannot reach"), "{}", status.stdout);
    server.advance(Duration::from_mins(10));
    let printed = alice.runs_command(&alice.get_token());
    assert!(printed.failure().contains("cannot reach"), "{}", printed.stderr);
    // The refresh token is still there: nobody knows that she is signed out.
    let status = alice.runs_command(&["status"]);
    assert!(status.stdout.contains("the token has expired"), "{}", status.stdout);
    assert_eq!(alice.opened().len(), 1, "no tab for a server that is down");
    server.restart().await;
    assert_ne!(
        alice.runs_command(&alice.get_token()).token(),
        token,
        "refreshed: nothing was lost"
    );
    assert_eq!(alice.opened().len(), 1);
}

/// A proxy in front of the issuer that responds for it while it restarts. It is requested every half minute, not by every
/// `kubectl`.
#[tokio::test]
async fn a_valid_token_is_handed_out_while_a_proxy_returns_502() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = super::ten_minute_tokens().await;
    let alice = server.workstation();
    let token = alice.first_token(&server).await;
    let proxy = OtherOrigin::responding("502 Bad Gateway", "", "<h1>Bad Gateway</h1>");
    let alice = alice.env("http_proxy", &proxy.url);
    server.advance(Duration::from_secs(31));
    for _ in 0..3 {
        assert_eq!(alice.runs_command(&alice.get_token()).token(), token);
    }
    assert_eq!(proxy.requests().len(), 1);
    server.advance(Duration::from_mins(10));
    let printed = alice.runs_command(&alice.get_token());
    assert!(printed.failure().contains("502 Bad Gateway"), "{}", printed.stderr);
    assert_eq!(alice.opened().len(), 1);
}

/// An issuer that takes connections and does not respond delays `kubectl` by seconds, once in half a minute.
#[tokio::test]
async fn a_valid_token_does_not_wait_for_an_issuer_that_hangs() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = super::ten_minute_tokens().await;
    let alice = server.workstation();
    let token = alice.first_token(&server).await;
    // A listener whose connections nobody accepts.
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", hanging.local_addr().unwrap());
    let alice = alice.env("http_proxy", &proxy);
    hanging.set_nonblocking(true).unwrap();
    let connections = || std::iter::from_fn(|| hanging.accept().ok()).count();
    server.advance(Duration::from_secs(31));
    let begun = Instant::now();
    assert_eq!(alice.runs_command(&alice.get_token()).token(), token);
    // A request has 30 seconds when its result is needed.
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    assert!(connections() > 0, "it was asked");
    assert_eq!(alice.runs_command(&alice.get_token()).token(), token);
    assert_eq!(connections(), 0, "it is not asked again within half a minute");
}

#[tokio::test]
async fn logout_revokes_at_the_issuer_and_forgets() {
    let server = World::new().client(Client::public("kubectl")).start().await;
    let alice = server.workstation();
    alice.first_token(&server).await;
    let status = alice.runs_command(&["status", "--output=json"]);
    let json: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(json["logins"][0]["user"], ALICE);
    assert_eq!(json["logins"][0]["groups"], serde_json::json!(["admins", "developers"]));
    let shown = alice.runs_command(&["token"]);
    let words: Vec<&str> = shown.stdout.split_whitespace().collect();
    assert!(words.join(" ").contains("An API server accepts it if"), "{}", shown.stdout);
    alice.keeps_cached_tokens_secret();
    server.assert_no_secret_in("the claims that are shown", &shown.stdout);

    let printed = alice.runs_command(&["logout"]);
    assert!(printed.is_success && printed.stderr.contains("Signed out"), "{}", printed.stderr);
    server.waits_for_log(1, "revoked by its client").await;
    assert_eq!(server.count_in_log("revoked by its client"), 1);
    let status = alice.runs_command(&["status"]);
    assert!(status.failure().contains("you are not signed in"), "{}", status.stderr);
}

/// Two kubeconfig entries with different clients of one issuer.
#[tokio::test]
async fn status_names_the_client_where_an_issuer_has_several_logins() {
    let clients = World::new().client(Client::public("kubectl")).client(Client::public("editor"));
    let server = clients.start().await;
    let alice = server.workstation();
    alice.first_token(&server).await;
    let status = alice.runs_command(&["status", "--no-whoami"]);
    assert!(status.is_success && !status.stdout.contains("client"), "{}", status.stdout);

    let mut line = alice.get_token();
    let client = line.iter_mut().find(|flag| flag.starts_with("--oidc-client-id")).unwrap();
    *client = "--oidc-client-id=editor".to_owned();
    let running = alice.starts(&line);
    alice.signs_in(2, &mut server.browser()).await;
    running.ends().token();
    let status = alice.runs_command(&["status", "--no-whoami"]);
    for client in ["kubectl", "editor"] {
        let named = format!("{}  client {client}", server.issuer());
        assert!(status.stdout.contains(&named), "{}", status.stdout);
    }
}
