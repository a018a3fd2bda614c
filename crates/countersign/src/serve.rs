//! `countersign serve`: reads the configuration, binds the listeners, opens the database, serves, and shuts down
//! gracefully.

#[cfg(test)]
mod allocations;
mod greeting;
mod housekeeping;
pub mod plan;
mod reload;
mod watch;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use countersign_config::Severity;
use countersign_grpc::{CallMetrics, GrpcSettings};
use countersign_server::grpc::Router;
use countersign_server::listen::{Certificate, Listener, ShutdownHandle};
use countersign_server::{App, CurrentApp, Metrics, RequestTraces};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cli::ServeArguments;
use crate::config::{self, Config, Grpc, Listen, Loaded};
use crate::environment::SystemClock;
use crate::logging::LogHandle;
use crate::signals::{Signals, drain};
use crate::trace_export::TraceExport;
use crate::wiring::Shared;
use crate::{example_app, logging, tls, trace_export, wiring};
use reload::Reloader;
use watch::FileWatch;

/// `EX_CONFIG` of sysexits: a configuration error.
pub const BAD_CONFIGURATION: u8 = 78;
/// Time limit for requests in progress when the listeners close. With the default `web.shutdownDelay` the shutdown
/// takes less than the 30 seconds after which Kubernetes kills the process.
const GRACE: Duration = Duration::from_secs(20);

pub fn run(arguments: &ServeArguments) -> ExitCode {
    if let Err(reason) = arguments.addresses.parse() {
        eprintln!("countersign: {reason}");
        return ExitCode::from(BAD_CONFIGURATION);
    }
    let loaded = load(arguments);
    let warnings: Vec<String> =
        loaded.problems.iter().map(|problem| loaded.line(problem)).collect();
    let report = loaded.to_string();
    let Some(config) = loaded.config else {
        eprint!("{report}");
        return ExitCode::from(BAD_CONFIGURATION);
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("countersign: {error}");
            return ExitCode::FAILURE;
        }
    };
    let export = trace_export::start(runtime.handle());
    let tracer = export.as_ref().ok().and_then(Option::as_ref).map(TraceExport::tracer);
    let log = logging::start(&config.logger, tracer);
    for line in warnings {
        tracing::warn!("{line}");
    }
    let export = export.unwrap_or_else(|reason| {
        tracing::warn!(reason, "no traces are exported");
        None
    });
    match runtime.block_on(serve_and_export(config, arguments, log, export)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            tracing::error!("{reason}");
            if io::stderr().is_terminal() {
                eprintln!("countersign: {reason}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The spans of the last requests are sent before this returns.
async fn serve_and_export(
    config: Config,
    arguments: &ServeArguments,
    log: Option<LogHandle>,
    export: Option<TraceExport>,
) -> Result<(), String> {
    if let Some(export) = &export {
        export.log();
    }
    let traces = export.as_ref().map(TraceExport::request_traces);
    let served = serve(config, arguments, log, traces).await;
    if let Some(export) = export {
        export.flush().await;
    }
    if served.is_ok() {
        tracing::info!("stopped");
    }
    served
}

fn load(arguments: &ServeArguments) -> Loaded {
    let env = crate::environment::variable;
    // Invalid addresses were refused at start-up.
    let addresses = arguments.addresses.parse().unwrap_or_default();
    config::load_with(&arguments.file, &env, arguments.lenient, &addresses)
}

/// What a file contains that was read again.
struct Reading {
    /// `None` if it is invalid.
    config: Option<Config>,
    errors: Vec<String>,
    warnings: Vec<String>,
    /// The files that it names, also those that cannot be read, as far as they were looked at.
    files: Vec<PathBuf>,
}

fn read_again(arguments: &ServeArguments) -> Reading {
    let loaded = load(arguments);
    let lines = |severity: Severity| {
        let problems = loaded.problems.iter().filter(|problem| problem.severity == severity);
        problems.map(|problem| loaded.line(problem)).collect::<Vec<String>>()
    };
    let (errors, warnings) = (lines(Severity::Error), lines(Severity::Warning));
    let files = loaded.files().to_owned();
    Reading { config: loaded.config, errors, warnings, files }
}

/// The listeners, bound before anything else is started.
struct Ports {
    web: Vec<Listener>,
    telemetry: Option<Listener>,
    grpc: Option<Listener>,
    certificates: Certificates,
}

/// The certificates of the listeners, which a reload replaces; `None` for an unencrypted one.
pub struct Certificates {
    pub web: Option<Certificate>,
    pub grpc: Option<Certificate>,
}

fn bind(config: &Config) -> Result<Ports, String> {
    let at = |listen: &Listen, certificate| {
        Listener::bind(&listen.to_string(), certificate)
            .map_err(|e| format!("cannot listen on {listen}: {e}"))
    };
    let mut web = Vec::new();
    if let Some(listen) = &config.web.http {
        web.push(at(listen, None)?);
    }
    let https = config.web.https.as_ref();
    let certificate = https.map(tls::server_config).transpose()?.map(Certificate::new);
    if let Some(https) = https {
        web.push(at(&https.listen, certificate.clone())?);
    }
    let telemetry = config.telemetry.as_ref().map(|listen| at(listen, None)).transpose()?;
    let grpc_tls = config.grpc.as_ref().and_then(|grpc| grpc.tls.as_ref());
    let grpc_certificate = grpc_tls.map(tls::grpc_server_config).transpose()?.map(Certificate::new);
    let grpc = config.grpc.as_ref().map(|grpc| at(&grpc.listen, grpc_certificate.clone()));
    let grpc = grpc.transpose()?;
    let certificates = Certificates { web: certificate, grpc: grpc_certificate };
    Ok(Ports { web, telemetry, grpc, certificates })
}

async fn serve(
    config: Config,
    arguments: &ServeArguments,
    log: Option<LogHandle>,
    traces: Option<Box<dyn RequestTraces>>,
) -> Result<(), String> {
    // Before anything is served, so that no signal kills the process.
    let mut signals = Signals::listen()?;
    let watch = FileWatch::new(reload::watched_files(arguments, &config));
    raise_open_files(&config);
    let ports = bind(&config)?;
    let clock = Arc::new(SystemClock::default());
    let shared = Shared::new(&config, clock.clone());
    if let Some(traces) = traces {
        shared.process.set_request_traces(traces);
    }
    let app = open(&config, &shared).await?;
    housekeeping::check_clock(&app, &clock).await;
    let (process, store) = (shared.process.clone(), app.issuer.store.clone());
    let current = CurrentApp::new(app);
    let background = tokio::spawn(housekeeping::run(current.clone(), clock));
    let (stop, telemetry_stop) = (ShutdownHandle::default(), ShutdownHandle::default());
    // Started before the server reports itself as ready.
    let example_app = example_app::start(&config, process.clone());
    let mut web = JoinSet::new();
    for port in ports.web {
        web.spawn(port.serve(current.web(), config.limits, process.clone(), stop.clone()));
    }
    if let Some((port, settings)) = ports.grpc.zip(config.grpc.as_ref()) {
        let service = grpc_service(&current, settings)?;
        web.spawn(port.serve(service, config.limits, process.clone(), stop.clone()));
    }
    let telemetry = ports.telemetry.map(|port| {
        let (router, stop) = (current.telemetry(), telemetry_stop.clone());
        tokio::spawn(port.serve(router, config.limits, process.clone(), stop))
    });
    tracing::info!(issuer = config.issuer.as_str(), "serving");
    greeting::print(&config, &arguments.file, example_app.is_running());
    let shutdown_delay = config.web.shutdown_delay;
    let (requests, to_reload) = mpsc::channel(4);
    process.set_reloader(requests);
    let (arguments, certificates) = (arguments.clone(), ports.certificates);
    let retry = None;
    let reloader = Reloader { arguments, config, current, shared, certificates, log, watch, retry };
    let reloader = tokio::spawn(reloader.run(signals.hangups(), to_reload));
    let signal = tokio::select! {
        signal = signals.stop() => signal,
        Some(ended) = web.join_next() => {
            let reason = ended.map_err(|e| e.to_string())?;
            return reason.map_err(|e| format!("a listener failed: {e}"));
        }
    };
    reloader.abort();
    drain(signal, shutdown_delay, &process, &mut signals).await;
    stop.shut_down_within(GRACE);
    while web.join_next().await.is_some() {}
    telemetry_stop.shut_down_within(Duration::ZERO);
    example_app.end().await;
    if let Some(telemetry) = telemetry {
        let _ended = telemetry.await;
    }
    background.abort();
    store.close().await;
    Ok(())
}

/// Opens the storage and checks that the signer signs. From here on the configuration is in use: signing keys that it does
/// not need are dropped when their tokens have expired.
async fn open(config: &Config, shared: &Shared) -> Result<App, String> {
    let app = wiring::open(config, shared).await?;
    wiring::check_signer(&app)?;
    app.issuer.renew_keys().await.map_err(|error| error.to_string())?;
    Ok(app)
}

/// Every call uses the current issuer.
fn grpc_service(current: &CurrentApp, grpc: &Grpc) -> Result<Router, String> {
    let current = current.clone();
    let settings = GrpcSettings {
        version: env!("CARGO_PKG_VERSION"),
        has_connectors: grpc.has_connectors,
        has_reflection: grpc.reflection,
        metrics: Arc::new(GrpcMetrics(current.app().metrics.clone())),
    };
    let routes =
        countersign_grpc::routes(Arc::new(move || Arc::clone(&current.app().issuer)), settings)?;
    Ok(countersign_server::grpc::layers(routes.into_axum_router()))
}

/// The metrics of the server, which a reload keeps.
struct GrpcMetrics(Metrics);

impl CallMetrics for GrpcMetrics {
    fn started(&self, method: &str) {
        self.0.grpc_call_started(method);
    }

    fn handled(&self, method: &str, code: &str) {
        self.0.grpc_call_handled(method, code);
    }
}

/// Raises the soft limit of file descriptors to the hard limit: its default of 1024 is less than `limits.connections`.
fn raise_open_files(config: &Config) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, ..limit };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files could not be raised");
        }
    }
    let needed = config.limits.connections as u64;
    if let Some(found) = getrlimit(Resource::Nofile).current.filter(|found| *found <= needed) {
        tracing::warn!(
            found,
            needed,
            "fewer files may be open than limits.connections: raise the limit (LimitNOFILE, ulimit -n) or lower the key"
        );
    }
}
