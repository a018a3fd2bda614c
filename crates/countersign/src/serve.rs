//! `countersign serve`: read, open, bind, say hello, serve, drain.

mod certificates;
mod greeting;
mod housekeeping;
mod signals;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use countersign_server::listen::{Certificate, Listener, ShutdownHandle};
use countersign_server::{App, Health, routes, telemetry_routes};
use tokio::task::JoinSet;

use crate::cli::ServeArguments;
use crate::config::{self, Config, Listen};
use crate::system_clock::SystemClock;
use crate::{logging, tls, wiring};
use signals::Signals;

/// `EX_CONFIG` of sysexits: the configuration is at fault.
pub const BAD_CONFIGURATION: u8 = 78;
/// What is under way at the end has this long.
const GRACE: Duration = Duration::from_secs(25);

pub fn run(arguments: &ServeArguments) -> ExitCode {
    let env = |name: &str| std::env::var(name).ok();
    let addresses = match arguments.addresses.parse() {
        Ok(addresses) => addresses,
        Err(why) => {
            eprintln!("countersign: {why}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    let loaded = config::load_with(&arguments.file, &env, arguments.lenient, &addresses);
    let warnings: Vec<String> =
        loaded.problems.iter().map(|problem| loaded.line(problem)).collect();
    let report = loaded.to_string();
    let Some(config) = loaded.config else {
        eprint!("{report}");
        return ExitCode::from(BAD_CONFIGURATION);
    };
    if addresses.grpc.is_some() {
        eprintln!("countersign: --grpc-addr has no effect: Dex's gRPC API is not there yet");
    }
    logging::start(&config.logger);
    for line in warnings {
        tracing::warn!("{line}");
    }
    let served = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())
        .and_then(|runtime| runtime.block_on(serve(&config, arguments)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tracing::error!("{why}");
            if io::stderr().is_terminal() {
                eprintln!("countersign: {why}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The ports, bound before anything else is begun.
struct Ports {
    web: Vec<Listener>,
    telemetry: Option<Listener>,
    certificate: Option<Certificate>,
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
    Ok(Ports { web, telemetry, certificate })
}

async fn serve(config: &Config, arguments: &ServeArguments) -> Result<(), String> {
    // Before anything can be asked of this process, so that no signal finds it unprepared.
    let mut signals = Signals::listen()?;
    let ports = bind(config)?;
    let (clock, health) = (Arc::new(SystemClock::default()), Health::default());
    let app = wiring::open(config, clock.clone(), health.clone()).await?;
    housekeeping::check_clock(&app, &clock, &health).await;
    let chores = tokio::spawn(housekeeping::go_on(app.clone(), clock, health.clone()));
    let renewal = config.web.https.clone().zip(ports.certificate);
    let renewal = renewal
        .map(|(https, held)| tokio::spawn(certificates::renew(https, held, signals.hangups())));
    let (stop, telemetry_stop) = (ShutdownHandle::default(), ShutdownHandle::default());
    let mut web = JoinSet::new();
    for port in ports.web {
        web.spawn(port.serve(routes(app.clone()), stop.clone()));
    }
    let telemetry = ports.telemetry.map(|port| {
        tokio::spawn(port.serve(telemetry_routes(app.clone()), telemetry_stop.clone()))
    });
    // A log of JSON lines has nothing else in it, also where standard output goes to the same place.
    if !logging::is_json(&config.logger) {
        greeting::say(config, &arguments.file);
    }
    tokio::select! {
        () = signals.asked_to_stop() => {}
        Some(ended) = web.join_next() => {
            let why = ended.map_err(|e| e.to_string())?;
            return why.map_err(|e| format!("a listener failed: {e}"));
        }
    }
    tracing::info!("stopping: no longer ready, finishing what is under way");
    health.drain();
    stop.shut_down_within(GRACE);
    while web.join_next().await.is_some() {}
    telemetry_stop.shut_down_within(Duration::ZERO);
    if let Some(telemetry) = telemetry {
        let _ended = telemetry.await;
    }
    chores.abort();
    if let Some(renewal) = renewal {
        renewal.abort();
    }
    close(app).await;
    Ok(())
}

async fn close(app: App) {
    app.issuer.store.close().await;
    tracing::info!("stopped");
}
