//! `countersign check`: everything wrong with a configuration at once, or a summary of it; and what an
//! upstream says about somebody.

use std::process::ExitCode;

use countersign_core::connector::{
    AccountDiagnosis, LoginMethod, PasswordLogin, RedirectLogin, TrustedHeaderLogin,
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
    let connectors = wiring::connectors(config, wiring::hashing(&config.limits));
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
        Ok(runtime) => runtime.block_on(diagnose(connector, user)),
        Err(error) => {
            eprintln!("countersign: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn diagnose(connector: &Connector, user: Option<&str>) -> ExitCode {
    match (&connector.login_method, user) {
        (LoginMethod::Password(method), Some(user)) => look_up(method.as_ref(), user).await,
        (LoginMethod::Password(_), None) => {
            eprintln!("countersign: {} is asked about somebody: add --user NAME", connector.id);
            ExitCode::FAILURE
        }
        (LoginMethod::Redirect(method), user) => visit(method.as_ref(), user).await,
        (LoginMethod::TrustedHeader(method), _) => describe(method.as_ref()),
    }
}

/// Prints the trace as it came, then what could be told of this person without them.
async fn visit(method: &dyn RedirectLogin, user: Option<&str>) -> ExitCode {
    let mut trace = Trace::default();
    let found = method.diagnose(user, SystemClock::uncorrected(), &mut trace).await;
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
fn describe(method: &dyn TrustedHeaderLogin) -> ExitCode {
    let mut trace = Trace::default();
    method.diagnose(&mut trace);
    print_trace(&trace);
    ExitCode::SUCCESS
}

fn told(groups: &[String]) -> String {
    let lines: String = groups.iter().map(|group| format!("  {group}\n")).collect();
    format!("groups              {}\n{lines}", groups.len())
}

/// Prints the trace as it came, then what would be told of this person.
async fn look_up(method: &dyn PasswordLogin, user: &str) -> ExitCode {
    let mut trace = Trace::default();
    let found = method.diagnose(user, &mut trace).await;
    print_trace(&trace);
    match found {
        Ok(AccountDiagnosis::Found(identity)) => {
            println!("\nuser id             {}", identity.user_id);
            println!("name                {}", identity.username);
            println!("preferred username  {}", identity.preferred_username);
            println!("email               {}", identity.email);
            print!("{}", told(&identity.groups));
            ExitCode::SUCCESS
        }
        Ok(AccountDiagnosis::Refused { why }) => {
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
            TraceKind::Request => "→",
            TraceKind::Response => "←",
            TraceKind::Included => "+",
            TraceKind::Excluded => "-",
            TraceKind::Note => "·",
        };
        println!("{sign} {}", step.text);
    }
    if trace.left_out() > 0 {
        println!("… and {} more steps", trace.left_out());
    }
}
