//! Threat 152. The cache on disk: readable by its owner only, complete after a kill at any instant, refused where other
//! users could have written it.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::world::{ALICE, Client, Need, Server, Workstation, World, claims};

fn record(workstation: &Workstation) -> PathBuf {
    let folder = workstation.path(".kube/cache/countersign");
    let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.find(|file| file.extension().is_some_and(|e| e == "json")).expect("a record")
}

#[tokio::test]
async fn files_are_private_and_a_link_is_refused() {
    let server = World::new().client(Client::public("kubectl")).start().await;
    let alice = server.workstation();
    alice.first_token(&server).await;
    let file = record(&alice);
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(file.parent().unwrap()), mode(&file)), (0o700, 0o600));
    let other_file = alice.path("elsewhere");
    std::fs::rename(&file, &other_file).unwrap();
    symlink(&other_file, &file).unwrap();
    let printed = alice.runs_command(&alice.get_token());
    assert!(printed.failure().contains("must be a regular file of your own"), "{}", printed.stderr);
}

/// A process is killed while it waits for a login, and while it refreshes: the next process succeeds.
#[tokio::test]
async fn a_kill_at_any_time_leaves_a_usable_cache() {
    if Need::Clock.is_missing() {
        return;
    }
    let server = super::ten_minute_tokens().await;
    kills_at_many_times(&server, &server.workstation()).await;
}

/// The same on a machine of which the caller chooses where tokens are kept.
pub async fn kills_at_many_times(server: &Server, alice: &Workstation) {
    let waiting = alice.starts(&alice.get_token());
    alice.opens(1).await;
    waiting.killed();
    // Killed as by an editor that waits for a few seconds only: without a person no other login is shown.
    let refused = alice.runs_command(&alice.get_token());
    assert!(refused.failure().contains("begun and not completed"), "{}", refused.stderr);
    let running = alice.starts(&alice.login());
    alice.signs_in(2, &mut server.browser()).await;
    running.ends();
    let token = alice.runs_command(&alice.get_token()).token();
    for round in 0..12_u32 {
        server.advance(Duration::from_mins(15));
        let mut running = alice.starts(&alice.get_token());
        // The kills happen at instants from before the refresh begins until after its end.
        let (begun, duration) = (Instant::now(), Duration::from_millis(u64::from(round) * 15));
        while running.is_running() && begun.elapsed() < duration {
            tokio::task::yield_now().await;
        }
        running.killed();
        let next = alice.runs_command(&alice.get_token());
        assert_eq!(claims(&next.token())["sub"], claims(&token)["sub"], "round {round}");
        assert_eq!(claims(&next.token())["email"], ALICE);
    }
    assert_eq!(alice.opened().len(), 2, "no further login");
}

/// A file that was truncated or overwritten is treated as absent.
#[tokio::test]
async fn a_broken_record_means_a_new_login() {
    let server = World::new().client(Client::public("kubectl")).start().await;
    let alice = server.workstation();
    alice.first_token(&server).await;
    let file = record(&alice);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &text[..text.len() / 2]).unwrap();
    let token = alice.first_token(&server).await;
    assert_eq!(claims(&token)["email"], ALICE);
    assert_eq!(alice.opened().len(), 2);
}

/// kubectl's variable for its caches, as in kubelogin; and a container in which no directory can be written.
#[tokio::test]
async fn the_directory_of_caches_is_that_of_kubectl_and_is_not_needed_for_nothing() {
    let server = World::new().client(Client::public("kubectl")).start().await;
    let alice = server.workstation();
    let caches = alice.path("caches");
    let alice = alice.env("KUBECACHEDIR", &caches.display().to_string());
    alice.first_token(&server).await;
    assert!(caches.join("countersign").is_dir() && !alice.path(".kube/cache").exists());

    let job = server.workstation().env("KUBECACHEDIR", "/proc/none");
    let mut line = job.get_token();
    let refused = job.runs_command(&line);
    assert!(refused.failure().contains("/proc/none/countersign"), "{}", refused.stderr);
    line.push("--token-cache-storage=none".to_owned());
    let running = job.starts(&line);
    job.signs_in(1, &mut server.browser()).await;
    assert_eq!(claims(&running.ends().token())["email"], ALICE);
}
