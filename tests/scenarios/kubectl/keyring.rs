//! Threat 152. The tokens in the keyring of the desktop (GNOME's, through the Secret Service), and in the file where it
//! cannot be used.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::cache::kills_at_many_times;
use crate::world::{ALICE, Client, Keyring, Need, Server, SessionBus, Workstation, World, claims};

fn world() -> World {
    World::new().client(Client::public("kubectl"))
}

/// What `status` says about the place of the tokens.
fn place(alice: &Workstation) -> Value {
    let status = alice.runs_command(&["status", "--no-whoami", "--output=json"]);
    let json: Value = serde_json::from_str(&status.stdout).expect(&status.stderr);
    json["logins"][0]["tokens"].clone()
}

fn with(line: &[String], flag: &str) -> Vec<String> {
    [line, &[flag.to_owned()]].concat()
}

#[tokio::test]
async fn tokens_are_in_the_keyring_and_in_no_file() {
    if Need::Keyring.is_missing() {
        return;
    }
    let server = world().start().await;
    let alice = server.workstation();
    let keyring = Keyring::unlocked(&alice).await;
    let token = alice.first_token(&server).await;
    assert!(keyring.secrets().contains(&token), "the keyring has the ID token");
    assert!(keyring.secrets().contains("refresh_token"));
    let files = alice.cached_text();
    assert!(files.contains(&server.issuer()) && !files.contains(&token), "{files}");
    assert!(files.contains(r#""refresh_token":null"#), "{files}");

    // A second process.
    assert_eq!(alice.runs_command(&alice.get_token()).token(), token);
    assert_eq!(alice.opened().len(), 1);
    let status = alice.runs_command(&["status", "--no-whoami"]);
    assert!(status.stdout.contains("kept          in the system's keyring"), "{}", status.stdout);
    assert_eq!(place(&alice)["storage"], "keyring");

    let logout = alice.runs_command(&["logout"]);
    assert!(logout.is_success && logout.stderr.contains("Signed out"), "{}", logout.stderr);
    assert_eq!((keyring.secrets().as_str(), alice.cached_text().as_str()), ("", ""));
}

#[tokio::test]
async fn twenty_at_once_share_one_login_and_one_refresh_in_the_keyring() {
    if Need::Keyring.is_missing() || Need::Clock.is_missing() {
        return;
    }
    let server = super::ten_minute_tokens().await;
    let alice = server.workstation();
    let _keyring = Keyring::unlocked(&alice).await;
    let issued = |server: &Server| server.count_in_log("tokens issued");
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
    assert_eq!(place(&alice)["storage"], "keyring");
}

#[tokio::test]
async fn a_kill_at_any_time_leaves_usable_tokens_in_the_keyring() {
    if Need::Keyring.is_missing() || Need::Clock.is_missing() {
        return;
    }
    let server = World::with_clock()
        .client(Client::public("kubectl"))
        .with("expiry:\n  idTokens: 10m")
        .start()
        .await;
    let alice = server.workstation();
    let _keyring = Keyring::unlocked(&alice).await;
    kills_at_many_times(&server, &alice).await;
    assert_eq!(place(&alice)["storage"], "keyring");
}

/// No session bus, and a session bus without a keyring.
#[tokio::test]
async fn without_a_keyring_the_tokens_are_in_the_file() {
    if Need::Keyring.is_missing() {
        return;
    }
    let server = world().start().await;
    for has_bus in [false, true] {
        let alice = server.workstation();
        let _bus = if has_bus { Some(SessionBus::start(&alice).await) } else { None };
        let token = alice.first_token(&server).await;
        assert!(alice.cached_text().contains(&token));
        let place = place(&alice);
        assert_eq!(place["storage"], "disk");
        let reason = place["reason"].as_str().unwrap();
        assert!(reason.starts_with("no keyring was found"), "{reason}");
        assert_eq!(alice.runs_command(&alice.get_token()).token(), token);
        let logout = alice.runs_command(&["logout"]);
        assert!(logout.is_success, "{}", logout.stderr);
        assert_eq!(alice.cached_text(), "");
    }
}

/// It is not asked to unlock, so no prompt appears; nothing is lost, and no tab is opened unattended.
#[tokio::test]
async fn tokens_in_a_locked_keyring_are_there_again_when_it_is_unlocked() {
    if Need::Keyring.is_missing() {
        return;
    }
    let server = world().start().await;
    let alice = server.workstation();
    let mut keyring = Keyring::unlocked(&alice).await;
    let token = alice.first_token(&server).await;
    keyring.restarts_locked().await;
    let refused = alice.runs_command(&alice.get_token());
    let text = refused.failure();
    assert!(text.contains("the keyring is locked"), "{text}");
    assert!(text.contains("kubectl countersign login"), "{text}");
    let logout = alice.runs_command(&["logout"]);
    assert!(logout.failure().contains("are not deleted"), "{}", logout.stderr);
    keyring.restarts_unlocked().await;
    assert_eq!(alice.runs_command(&alice.get_token()).token(), token);
    assert_eq!(alice.opened().len(), 1);

    // Whoever signs in while it is locked is signed in with and without it, and signs out of both.
    keyring.restarts_locked().await;
    let running = alice.starts(&alice.login());
    alice.signs_in(2, &mut server.browser()).await;
    let printed = running.ends();
    assert!(printed.stderr.contains("the keyring is locked"), "{}", printed.stderr);
    assert!(printed.stderr.contains(&format!("Signed in as {ALICE}")), "{}", printed.stderr);
    for is_locked in [true, false] {
        if !is_locked {
            keyring.restarts_unlocked().await;
        }
        let second = alice.runs_command(&alice.get_token()).token();
        assert_eq!(claims(&second)["email"], ALICE);
        assert!(alice.cached_text().contains(&second), "in the file until the next login");
        assert_eq!(place(&alice)["reason"], "the keyring is locked");
    }
    assert_eq!(alice.opened().len(), 2);
    assert!(keyring.secrets().contains(&token), "those of the first login");
    let logout = alice.runs_command(&["logout"]);
    assert!(logout.is_success, "{}", logout.stderr);
    assert_eq!((keyring.secrets().as_str(), alice.cached_text().as_str()), ("", ""));
    // Both grants are ended.
    server.waits_for_log(2, "revoked by its client").await;
}

/// A service that hangs delays kubectl by seconds, once.
#[tokio::test]
async fn a_keyring_that_hangs_is_not_waited_for() {
    if Need::Keyring.is_missing() {
        return;
    }
    let server = world().start().await;
    let alice = server.workstation();
    let keyring = Keyring::unlocked(&alice).await;
    keyring.hangs();
    let token = alice.first_token(&server).await;
    assert!(alice.cached_text().contains(&token));
    let begun = Instant::now();
    assert_eq!(place(&alice)["reason"], "the keyring did not respond within 5 seconds");
    assert_eq!(alice.runs_command(&alice.get_token()).token(), token);
    assert!(begun.elapsed() < Duration::from_secs(5), "it is not asked again");

    // Tokens that are in it.
    keyring.continues();
    let to_keyring = with(&alice.get_token(), "--token-cache-storage=keyring");
    assert_eq!(alice.runs_command(&to_keyring).token(), token);
    keyring.hangs();
    let refused = alice.runs_command(&alice.get_token());
    assert!(refused.failure().contains("did not respond"), "{}", refused.stderr);
    keyring.continues();
    assert_eq!(alice.runs_command(&alice.get_token()).token(), token);
    assert_eq!(alice.opened().len(), 1);
}

/// kubelogin's flag, and the environment variable.
#[tokio::test]
async fn the_user_chooses_where_the_tokens_are() {
    if Need::Keyring.is_missing() {
        return;
    }
    let server = world().start().await;
    let alice = server.workstation();
    let keyring = Keyring::unlocked(&alice).await;
    let line = alice.get_token();
    let token = alice.first_token(&server).await;
    for (flag, is_in_keyring) in [
        ("--token-cache-storage=disk", false),
        // The choice stays.
        ("-v1", false),
        ("--token-cache-storage=keyring", true),
        ("-v1", true),
    ] {
        assert_eq!(alice.runs_command(&with(&line, flag)).token(), token, "{flag}");
        assert_eq!(keyring.secrets().contains(&token), is_in_keyring, "{flag}");
        assert_eq!(alice.cached_text().contains(&token), !is_in_keyring, "{flag}");
    }
    let alice = alice.env("KUBECTL_COUNTERSIGN_CACHE_STORAGE", "disk");
    assert_eq!(alice.runs_command(&line).token(), token);
    assert_eq!(place(&alice)["reason"], "--token-cache-storage=disk");
    assert_eq!((keyring.secrets().as_str(), alice.opened().len()), ("", 1));

    // A keyring that is demanded is not replaced by a file.
    let bob = server.workstation();
    let refused = bob.runs_command(&with(&bob.get_token(), "--token-cache-storage=keyring"));
    assert!(refused.failure().contains("no keyring was found"), "{}", refused.stderr);
    assert_eq!((bob.opened().len(), bob.cached_text().as_str()), (0, ""));
}
