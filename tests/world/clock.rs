//! The clock of a server under test. libfaketime is preloaded into the program and reads an offset from a
//! file, so a test can advance time by days without sleeping. Or it reads an instant, at which time stops until the
//! test advances it, so that a slow machine does not let a delay pass. Timers are not affected.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Need;

/// Shared by a server and its browsers, so that cookies expire with the server's clock.
#[derive(Clone, Default)]
pub struct TestClock {
    /// Negative when it is in the past.
    ahead_secs: Arc<AtomicI64>,
    file: Option<Arc<PathBuf>>,
    /// The real time when it was stopped; `None`: it runs.
    stopped_at: Option<u64>,
}

impl TestClock {
    /// A clock that can be moved, its file in `dir`.
    /// It starts now, or at this instant in seconds since 1970.
    pub fn movable(dir: &Path, starts_at: Option<u64>) -> Self {
        let clock = Self { file: Some(Arc::new(dir.join("clock"))), ..Self::default() };
        if let Some(secs) = starts_at {
            let ahead = i64::try_from(secs).unwrap() - i64::try_from(clock.now()).unwrap();
            clock.ahead_secs.store(ahead, Ordering::SeqCst);
        }
        clock.write();
        clock
    }

    /// A clock that only `advance` moves, its file in `dir`.
    pub fn stopped(dir: &Path) -> Self {
        let clock = Self { file: Some(Arc::new(dir.join("clock"))), ..Self::default() };
        let clock = Self { stopped_at: Some(clock.now()), ..clock };
        clock.write();
        clock
    }

    /// Where Debian installs libfaketime.
    pub fn library() -> Option<PathBuf> {
        let arch = std::env::consts::ARCH;
        [format!("/usr/lib/{arch}-linux-gnu/faketime"), "/usr/lib/faketime".into()]
            .iter()
            .map(|dir| Path::new(dir).join("libfaketime.so.1"))
            .find(|library| library.exists())
    }

    pub fn advance(&self, by: Duration) {
        self.move_by(i64::try_from(by.as_secs()).unwrap());
    }

    pub fn turn_back(&self, by: Duration) {
        self.move_by(-i64::try_from(by.as_secs()).unwrap());
    }

    fn move_by(&self, secs: i64) {
        assert!(self.file.is_some(), "this world has no clock: ask for World::with_clock()");
        self.ahead_secs.fetch_add(secs, Ordering::SeqCst);
        self.write();
    }

    /// Seconds since the Unix epoch, as the server sees it.
    pub fn now(&self) -> u64 {
        let real = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        self.stopped_at
            .unwrap_or_else(real)
            .saturating_add_signed(self.ahead_secs.load(Ordering::SeqCst))
    }

    /// Runs `command` under this clock.
    pub fn apply_to(&self, command: &mut Command) {
        let Some(file) = &self.file else { return };
        let library = Self::library().expect("checked by Need::Clock");
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", file.as_path())
            .env("FAKETIME_FMT", "%s")
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
    }

    /// Replaces the file atomically: the program may read it at any time.
    fn write(&self) {
        let Some(file) = &self.file else { return };
        let next = file.with_extension("next");
        // An offset has a sign; a number of seconds since 1970 without one stops the clock there.
        let text = match self.stopped_at {
            Some(_) => format!("{}\n", self.now()),
            None => format!("{:+}\n", self.ahead_secs.load(Ordering::SeqCst)),
        };
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, file.as_path()).unwrap();
    }
}

/// Run as a child process by the test below: prints its time before and after reading a line, and the
/// duration of a 100 ms timer.
#[tokio::test]
async fn print_time_for_the_test_below() {
    if std::env::var_os("TEST_CLOCK_CHILD").is_none() {
        return;
    }
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    println!("time {}", now());
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()))
        .await
        .unwrap()
        .unwrap();
    println!("time {}", now());
    let started = std::time::Instant::now();
    tokio::time::sleep(Duration::from_millis(100)).await;
    println!("timer {}", started.elapsed().as_millis());
}

#[test]
fn faked_time_advances_and_timers_do_not() {
    use std::io::{BufRead, BufReader, Write};
    if Need::Clock.is_missing() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::movable(dir.path(), None);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--nocapture", "--exact", "world::clock::print_time_for_the_test_below"]);
    command.env("TEST_CLOCK_CHILD", "1");
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    clock.apply_to(&mut command);
    let mut child = command.spawn().unwrap();
    // libtest writes "test … ... " without a newline before the first line.
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines().filter_map(|line| {
        let (what, number) =
            line.ok()?.rsplit_once(' ').map(|(w, n)| (w.to_owned(), n.to_owned()))?;
        let is_ours = what.ends_with("time") || what.ends_with("timer");
        number.parse::<u64>().ok().filter(|_| is_ours)
    });
    let before = output.next().unwrap();
    clock.advance(Duration::from_hours(24));
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let after = output.next().unwrap();
    let timer_ms = output.next().unwrap();
    child.wait().unwrap();
    assert!((86_400..86_430).contains(&(after - before)), "moved by {}", after - before);
    assert!((95..5_000).contains(&timer_ms), "the timer took {timer_ms} ms");
}
