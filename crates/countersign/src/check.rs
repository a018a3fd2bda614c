//! `countersign check`: everything wrong with a configuration at once, or a summary of it; and what an
//! upstream says about somebody.

use std::process::ExitCode;

use countersign_connectors::password::Hashing;
use countersign_core::connector::{
    Examination, PasswordLogin, RedirectLogin, TrustedHeader, WayIn,
};
use countersign_core::trace::TraceKind;
use countersign_core::{Connector, ConnectorId, Trace};

use crate::cli::CheckArguments;
use crate::config::{self, Config};
use crate::serve::BAD_CONFIGURATION;
use crate::system_clock::SystemClock;
use crate::wiring;

pub fn run(arguments: &CheckArguments) -> ExitCode {
    let env = |name: &str| std::env::var(name).ok();
    let loaded = config::load(&arguments.file, &env, arguments.lenient);
    eprint!("{loaded}");
    let errors = loaded.errors();
    let Some(config) = loaded.config else {
        eprintln!("{errors} {}", if errors == 1 { "error" } else { "errors" });
        return ExitCode::from(BAD_CONFIGURATION);
    };
    match (&arguments.connector, &arguments.user) {
        (Some(connector), user) => ask(&config, &ConnectorId::new(connector), user.as_deref()),
        (None, _) => {
            print!("{}", config.summary());
            ExitCode::SUCCESS
        }
    }
}

fn ask(config: &Config, id: &ConnectorId, user: Option<&str>) -> ExitCode {
    let connectors = wiring::connectors(config, Hashing::default());
    let Some(connector) = connectors.iter().find(|connector| connector.id == *id) else {
        let ids: Vec<&str> = connectors.iter().map(|c| c.id.as_str()).collect();
        eprintln!(
            "countersign: no connector {id:?}, there are: {}",
            ids.join(", "),
            id = id.as_str()
        );
        return ExitCode::FAILURE;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(examine(connector, user)),
        Err(error) => {
            eprintln!("countersign: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn examine(connector: &Connector, user: Option<&str>) -> ExitCode {
    match (&connector.way, user) {
        (WayIn::Password(way), Some(user)) => look_up(way.as_ref(), user).await,
        (WayIn::Password(_), None) => {
            eprintln!("countersign: {} is asked about somebody: add --user NAME", connector.id);
            ExitCode::FAILURE
        }
        (WayIn::Redirect(way), user) => visit(way.as_ref(), user).await,
        (WayIn::TrustedHeader(way), _) => describe(way.as_ref()),
    }
}

/// Prints the trace as it came, then what could be told of this person without them.
async fn visit(way: &dyn RedirectLogin, user: Option<&str>) -> ExitCode {
    let mut trace = Trace::default();
    let found = way.examine(user, SystemClock::uncorrected(), &mut trace).await;
    print_trace(&trace);
    match found {
        Ok(groups) => {
            if let Some(groups) = groups {
                print!("\n{}", told(&groups));
            }
            ExitCode::SUCCESS
        }
        Err(down) => {
            println!("\n{down}");
            ExitCode::FAILURE
        }
    }
}

/// There is nothing to ask: prints what the proxy must do.
fn describe(way: &dyn TrustedHeader) -> ExitCode {
    let mut trace = Trace::default();
    way.examine(&mut trace);
    print_trace(&trace);
    ExitCode::SUCCESS
}

fn told(groups: &[String]) -> String {
    let lines: String = groups.iter().map(|group| format!("  {group}\n")).collect();
    format!("groups              {}\n{lines}", groups.len())
}

/// Prints the trace as it came, then what would be told of this person.
async fn look_up(way: &dyn PasswordLogin, user: &str) -> ExitCode {
    let mut trace = Trace::default();
    let found = way.examine(user, &mut trace).await;
    print_trace(&trace);
    match found {
        Ok(Examination::Found(identity)) => {
            println!("\nuser id             {}", identity.user_id);
            println!("name                {}", identity.username);
            println!("preferred username  {}", identity.preferred_username);
            println!("email               {}", identity.email);
            print!("{}", told(&identity.groups));
            ExitCode::SUCCESS
        }
        Ok(Examination::Refused { why }) => {
            println!("\nwould be refused: {why}");
            ExitCode::FAILURE
        }
        Err(down) => {
            println!("\n{down}");
            ExitCode::FAILURE
        }
    }
}

fn print_trace(trace: &Trace) {
    for step in trace.steps() {
        let sign = match step.kind {
            TraceKind::Asked => "→",
            TraceKind::Answered => "←",
            TraceKind::Kept => "+",
            TraceKind::Dropped => "-",
            TraceKind::Noted => "·",
        };
        println!("{sign} {}", step.text);
    }
    if trace.left_out() > 0 {
        println!("… and {} more steps", trace.left_out());
    }
}
