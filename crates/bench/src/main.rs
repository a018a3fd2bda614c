//! The benchmark: drives any OpenID Connect issuer of Dex's shape from outside.
//!
//! `local` starts a `countersign` binary pinned to one core, drives it from another, and prints the results beside the
//! rate at which `openssl speed` signs on the same core. `issuer` drives a running server, given its URL, a client and
//! a user. `plot` draws printed reports side by side. Each operation runs in a closed loop, for throughput, and with
//! `--rate` also at a fixed arrival rate, for latency. No result counts as passed or failed. Start reading at
//! [`mod@measure`].

#![expect(clippy::disallowed_methods, reason = "a benchmark measures with the real clock")]

mod arguments;
mod html_form;
mod issuer;
mod load;
mod local_server;
mod login;
mod measure;
mod openssl;
mod operation;
mod plot;
mod process;
mod report;
mod statistics;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use arguments::{Arguments, LoadArguments, Mode};
use issuer::Issuer;
use local_server::{LocalServer, ServerDirectory};
use process::Process;
use report::{Report, Run};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The core of the load generator; [`local_server::CORE`] is the server's.
const LOAD_CORE: usize = 1;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("countersign-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Error> {
    if let Mode::Plot(arguments) = &arguments.mode {
        return plot::draw(arguments);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut report = Report::default();
    let load = &arguments.load;
    for number in 1..=load.runs {
        eprintln!("run {number} of {}", load.runs);
        let run = match &arguments.mode {
            Mode::Local { binary, sessions } => {
                process::pin_to_core(LOAD_CORE)?;
                let signatures = openssl::signatures_per_second(local_server::CORE)?;
                let mut run = runtime.block_on(measure_local(binary, *sessions, load))?;
                run.openssl_signatures_per_second = Some(signatures);
                run
            }
            Mode::Plot(_) => return Err("a picture needs no measurement".into()),
            Mode::Issuer(target) => {
                let process = target.pid.map(Process::new);
                let issuer =
                    runtime.block_on(Issuer::discover(target.issuer_options())).map(Arc::new)?;
                runtime.block_on(measure(&issuer, process, load))?
            }
        };
        report.runs.push(run);
    }
    print!("{}", if load.json { report.json()? } else { report.table() });
    Ok(())
}

/// One run against its own server. The first start generates the keys; the second, with existing keys, is measured.
async fn measure_local(
    binary: &std::path::Path,
    sessions: u32,
    load: &LoadArguments,
) -> Result<Run, Error> {
    let directory = ServerDirectory::new()?;
    drop(LocalServer::start(binary, &directory).await?);
    if sessions > 0 {
        directory.insert_sessions(sessions)?;
    }
    let server = LocalServer::start(binary, &directory).await?;
    tokio::time::sleep(local_server::SETTLE_TIME).await;
    let issuer = Arc::new(Issuer::discover(local_server::issuer_options()).await?);
    let mut run = measure(&issuer, Some(server.process()), load).await?;
    run.sessions = Some(sessions);
    run.start_to_ready_ms = Some(server.start_to_ready.as_secs_f64() * 1000.0);
    #[expect(clippy::cast_precision_loss, reason = "a size of megabytes")]
    let size = std::fs::metadata(binary)?.len() as f64 / 1_048_576.0;
    run.binary_mib = Some(size);
    Ok(run)
}

async fn measure(
    issuer: &Arc<Issuer>,
    process: Option<Process>,
    load: &LoadArguments,
) -> Result<Run, Error> {
    let mut run = Run {
        resident_idle_mib: process.map(process::Process::resident_mib).transpose()?,
        ..Run::default()
    };
    for operation in &load.operations {
        eprintln!("  {}", operation.name());
        run.operations.push(measure::measure(issuer, process, *operation, load).await?);
    }
    run.resident_after_mib = process.map(process::Process::resident_mib).transpose()?;
    Ok(run)
}
