//! The benchmark: drives any OpenID Connect issuer of Dex's shape from outside.
//!
//! `local` starts a `countersign` binary pinned to one core, drives it from another, and prints the results beside the
//! rate at which `openssl speed` signs on the same core, and beside the aims. `issuer` drives a running server, given its
//! URL, a client and a user. `plot` draws printed reports side by side, `table` prints several as one. Each operation
//! runs in a closed loop, for throughput, and with `--rate` also at a fixed arrival rate, for latency. No result counts
//! as passed or failed. Start reading at [`mod@measure`]; the aims are in [`mod@aims`].

#![expect(clippy::disallowed_methods, reason = "a benchmark measures with the real clock")]

mod aims;
mod arguments;
mod bare;
mod html_form;
mod issuer;
mod load;
mod local;
mod local_server;
mod measure;
mod plot;
mod process;
mod report;
mod setup;
mod statistics;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use arguments::{Arguments, LoadArguments, Mode, TargetArguments};
use issuer::Issuer;
use local::Local;
use measure::Target;
use process::Process;
use report::{Report, Run};
use setup::Operation;

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
    let load = &arguments.load;
    let report = match &arguments.mode {
        Mode::Plot(arguments) => return plot::draw(arguments),
        Mode::BareHandler { address, bytes } => return bare::serve(*address, *bytes),
        Mode::Table { reports } => read(reports)?,
        Mode::Local(arguments) => {
            process::pin_to_core(LOAD_CORE)?;
            let local = Local { arguments, load };
            repeat(load, async |number| local.run(number).await)?
        }
        Mode::Issuer(target) => repeat(load, async |_| drive(target, load).await)?,
    };
    if load.json {
        print!("{}", report.json()?);
    } else {
        println!("{}\n{}", report.table(), aims::table(&report.groups()));
    }
    Ok(())
}

fn repeat(
    load: &LoadArguments,
    run: impl AsyncFn(u32) -> Result<Vec<Run>, Error>,
) -> Result<Report, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut report = Report { machine: process::machine()?, runs: Vec::new() };
    for number in 1..=load.runs {
        eprintln!("run {number} of {}", load.runs);
        report.runs.extend(runtime.block_on(run(number))?);
    }
    Ok(report)
}

/// Several reports as one; the machine is that of the first.
fn read(files: &[PathBuf]) -> Result<Report, Error> {
    let mut all = Report::default();
    for file in files {
        let report = Report::read(file)?;
        if all.machine.is_empty() {
            all.machine = report.machine;
        }
        all.runs.extend(report.runs);
    }
    Ok(all)
}

/// One run against a server that is running already.
async fn drive(arguments: &TargetArguments, load: &LoadArguments) -> Result<Vec<Run>, Error> {
    let issuer = Arc::new(Issuer::discover(arguments.issuer_options()).await?);
    let process = arguments.pid.map(Process::new);
    let target = Target { issuer, process, setup: None };
    let operations = load.operations_or(&[Operation::Refresh, Operation::Login]);
    Ok(vec![measure::measure_all(&target, operations, load).await?])
}
