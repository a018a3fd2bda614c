//! Refreshes while passwords are guessed. It measures time, so it is among the long runs and not among the tests.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::scenarios::login::passwords::{attempt, behind_a_proxy, verifications};
use crate::scenarios::operations::memory::ARGON2;
use crate::world::{SignedInClient, World};

const GUESSES: usize = 200;
/// As many as wait for a hashing thread at the same time.
const AT_ONCE: usize = 20;
const LIMIT: Duration = Duration::from_millis(50);

#[ignore = "measures time: ./test soak"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_refreshes_take_under_50_ms_while_200_passwords_are_guessed() {
    let world = World::new()
        .with(ARGON2)
        .with("oauth2:\n  skipApprovalScreen: true\nlogger:\n  level: error");
    let server = behind_a_proxy(world).start().await;
    let alice =
        SignedInClient::sign_in_alice(&server, "example-app", "openid offline_access").await;
    let before = verifications(&server).await;
    let mut token = alice.refresh_token.clone();
    let mut times = Vec::new();
    let server = std::sync::Arc::new(server);
    let mut guesses = JoinSet::new();
    for n in 0..AT_ONCE {
        let server = std::sync::Arc::clone(&server);
        guesses.spawn(async move {
            for guess in (n..GUESSES).step_by(AT_ONCE) {
                let (address, login) =
                    (format!("198.51.100.{guess}"), format!("u{guess}@example.com"));
                let page = attempt(&server, &address, &login, "not-the-password").await;
                assert_eq!(page.status, 401, "{}", page.text());
            }
        });
    }
    while !guesses.is_empty() {
        let begun = Instant::now();
        let renewed = alice.app.refreshes(&token).await;
        times.push(begun.elapsed());
        assert_eq!(renewed.status, 200, "{}", renewed.page.body);
        renewed.refresh_token().clone_into(&mut token);
        while let Some(done) = guesses.try_join_next() {
            done.unwrap();
        }
    }
    let verified = usize::try_from(verifications(&server).await - before).unwrap();
    assert_eq!(verified, GUESSES, "each guess was verified");
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    println!("{} refreshes during {GUESSES} guesses, 99 % within {p99:?}", times.len());
    assert!(p99 < LIMIT, "{p99:?}");
}
