//! The benchmark: what one core gives, as ratios to what OpenSSL alone gives on the same core.
//!
//! It starts the release binary pinned to one core, loads it from the other, and prints the table of
//! `docs/benchmark.md`. It is never a test: nothing passes or fails by a time. Loopback only, bounded in
//! time and number.

mod load;
mod measure;
mod openssl;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;

use measure::Spread;

type Error = Box<dyn std::error::Error + Send + Sync>;

const RUNS: usize = 5;

fn main() -> ExitCode {
    let binary = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("target/release/countersign"), PathBuf::from);
    match run(&binary) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(binary: &std::path::Path) -> Result<(), Error> {
    pin_to(load::CORE)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut rows = Rows::default();
    for run in 1..=RUNS {
        eprintln!("run {run} of {RUNS}");
        let signs = openssl::signs_per_second(server::CORE)?;
        let measured = runtime.block_on(measure::once(binary))?;
        rows.add(signs, &measured);
    }
    print!("{}", rows.table(binary)?);
    Ok(())
}

/// Keeps this process, the load, off the server's core.
fn pin_to(core: usize) -> Result<(), Error> {
    let me = std::process::id().to_string();
    let core = core.to_string();
    let status = std::process::Command::new("taskset")
        .args(["-a", "-p", "-c", &core, &me])
        .stdout(std::process::Stdio::null())
        .status()?;
    if status.success() { Ok(()) } else { Err("taskset could not pin the load".into()) }
}

#[derive(Default)]
struct Rows {
    openssl: Vec<f64>,
    ratio: Vec<f64>,
    refreshes: Vec<f64>,
    logins: Vec<f64>,
    resident_mib: Vec<f64>,
    ready_ms: Vec<f64>,
}

impl Rows {
    fn add(&mut self, openssl: f64, measured: &measure::Measured) {
        // Each refresh is answered with two signatures: an access token's and an ID token's.
        self.ratio.push(measured.refreshes_per_second * 2.0 / openssl);
        self.openssl.push(openssl);
        self.refreshes.push(measured.refreshes_per_second);
        self.logins.push(measured.logins_per_second);
        self.resident_mib.push(measured.idle_resident_mib);
        self.ready_ms.push(measured.start_to_ready_ms);
    }

    fn table(&self, binary: &std::path::Path) -> Result<String, Error> {
        #[expect(clippy::cast_precision_loss, reason = "a size of megabytes")]
        let size = std::fs::metadata(binary)?.len() as f64 / 1_048_576.0;
        let row = |name: &str, values: &[f64], digits: usize| {
            let Spread { median, least, most } = Spread::of(values);
            format!("| {name} | {median:.digits$} | {least:.digits$} – {most:.digits$} |\n")
        };
        Ok([
            "| one core, five runs | median | least – most |\n|---|---|---|\n".to_owned(),
            row("`openssl speed rsa2048`, signs per second", &self.openssl, 0),
            row("refreshes per second (two signatures each, SQLite, durable)", &self.refreshes, 0),
            row("signatures per second ÷ OpenSSL's", &self.ratio, 2),
            row("full logins per second (authorization, upstream, code, tokens)", &self.logins, 0),
            row("resident when idle, MiB", &self.resident_mib, 1),
            row("start to ready with keys present, ms", &self.ready_ms, 0),
            format!("| size of the binary, MiB | {size:.1} | |\n"),
        ]
        .concat())
    }
}
