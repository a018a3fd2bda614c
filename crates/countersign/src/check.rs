//! `countersign check`: reports all problems of a configuration file, or a summary of it; with `--connector` an
//! upstream's response about a user, with `--against` how it differs from the configuration of a running server.

use std::process::ExitCode;

use countersign_config::Severity;
use countersign_core::connector::{
    AccountDiagnosis, LoginMethod, PasswordLogin, RedirectLogin, TrustedHeaderLogin,
};
use countersign_core::{Connector, ConnectorId, Identity, Secret, Trace};
use countersign_issuer::IssuerError;
use countersign_issuer::admin::explain::trace_lines;
use countersign_issuer::keyring::check_external_signer;
use countersign_store::OpenError;
use countersign_store::dex::{self, DatabaseState};
use serde_json::{Value, json};
use url::Url;

use crate::cli::{CheckArguments, OutputFormat};
use crate::config::{self, Config, Loaded};
use crate::environment::SystemClock;
use crate::serve::{BAD_CONFIGURATION, plan};
use crate::{manage, wiring};

pub fn run(arguments: &CheckArguments) -> ExitCode {
    let env = crate::environment::variable;
    let addresses = match arguments.addresses.parse() {
        Ok(addresses) => addresses,
        Err(reason) => {
            eprintln!("countersign: {reason}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    let loaded = config::load_with(&arguments.file, &env, arguments.lenient, &addresses);
    let is_json = arguments.output == OutputFormat::Json;
    if !is_json || arguments.connector.is_some() {
        eprint!("{loaded}");
    }
    let errors = loaded.errors();
    let Some(config) = &loaded.config else {
        match is_json {
            true => print_json(&report(&loaded)),
            false => eprintln!("{errors} {}", if errors == 1 { "error" } else { "errors" }),
        }
        return ExitCode::from(BAD_CONFIGURATION);
    };
    match &arguments.connector {
        Some(connector) => diagnose(config, &ConnectorId::new(connector), arguments),
        None => examine(&loaded, config, arguments),
    }
}

/// Prints what is found beside the file: its database, an external signer, and with `--against` how it differs from a
/// running server's.
fn examine(loaded: &Loaded, config: &Config, arguments: &CheckArguments) -> ExitCode {
    let (database, signer) = (check_database(config), check_signer(config));
    let url = arguments.against.against.as_deref();
    let digest = |key: &Secret| plan::digest(config, key);
    let compared = url.map(|url| manage::compare(&arguments.against, url, digest)).transpose();
    let compared = match compared {
        Ok(compared) => compared,
        Err(error) => {
            eprintln!("countersign: {error}");
            return ExitCode::FAILURE;
        }
    };
    if arguments.output == OutputFormat::Json {
        let mut report = report(loaded);
        if let Some(report) = report.as_object_mut() {
            report.extend(database.iter().map(|found| ("database".to_owned(), json!(found))));
            report.extend(signer.iter().map(|found| ("signer".to_owned(), json!(found))));
            report.extend(compared.iter().map(|found| ("against".to_owned(), json!(found))));
        }
        print_json(&report);
    } else {
        print!("{}", config.summary());
        for found in database.iter().chain(&signer) {
            eprintln!("{found}");
        }
        if let Some(compared) = &compared {
            print!("\n{}", manage::describe(compared));
        }
    }
    let is_refused = database.iter().chain(&signer).any(|found| found.refuses);
    match is_refused || compared.is_some_and(|found| !found.problems.is_empty()) {
        true => ExitCode::from(BAD_CONFIGURATION),
        false => ExitCode::SUCCESS,
    }
}

/// What was found out about the configured database, or about the service that keeps the signing key.
#[derive(serde::Serialize)]
struct Finding {
    /// Whether the server would refuse to start on it.
    refuses: bool,
    message: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// A finding about the database; `None` if there is none. Reads only table names and changes nothing.
fn check_database(config: &Config) -> Option<Finding> {
    let location = &config.storage;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    match runtime.block_on(dex::state(location)) {
        Ok(DatabaseState::Ours | DatabaseState::Other) => None,
        Ok(DatabaseState::Dex) => {
            let message = OpenError::Dex { location: location.to_string() }.to_string();
            Some(Finding { refuses: true, message })
        }
        Err(error) => {
            let message = format!("the database was not examined: {error}");
            Some(Finding { refuses: false, message })
        }
    }
}

/// Lets the service that keeps the signing key sign, and verifies its signature. `None` if the keys are our own. Like a
/// database, one that does not answer here is no error: `check` may run elsewhere than the server.
fn check_signer(config: &Config) -> Option<Finding> {
    let signer = config.signer.external.as_ref()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    Some(match runtime.block_on(check_external_signer(signer)) {
        Ok(lines) => {
            let lines: String = lines.iter().map(|line| format!("\n  {line}")).collect();
            Finding { refuses: false, message: format!("signer: {}{lines}", signer.name()) }
        }
        Err(IssuerError::Unavailable { what, cause }) => {
            let message = format!("the signer was not examined: {what}: {cause}");
            Finding { refuses: false, message }
        }
        Err(error) => {
            Finding { refuses: true, message: format!("signer: {}: {error}", signer.name()) }
        }
    })
}

/// The result of the check without a connector, as JSON.
fn report(loaded: &Loaded) -> Value {
    let problems = loaded.problems.iter().map(|problem| {
        json!({
            "severity": if problem.severity == Severity::Error { "error" } else { "warning" },
            "line": problem.mark.line,
            "column": problem.mark.column,
            "key": problem.path,
            "message": problem.message,
        })
    });
    let summary = loaded.config.as_ref().map(Config::summary);
    json!({
        "valid": loaded.config.is_some(),
        "problems": problems.collect::<Vec<Value>>(),
        "summary": summary.map(|text| text.lines().map(str::to_owned).collect::<Vec<String>>()),
    })
}

fn print_json(value: &Value) {
    println!("{value:#}");
}

fn diagnose(config: &Config, id: &ConnectorId, arguments: &CheckArguments) -> ExitCode {
    let connectors = wiring::connectors(config, wiring::hashing(&config.limits)).list;
    let Some(connector) = connectors.iter().find(|connector| connector.id == *id) else {
        let ids: Vec<&str> = connectors.iter().map(|c| c.id.as_str()).collect();
        let configured = ids.join(", ");
        eprintln!("countersign: --connector: there is no connector {id}, only {configured}");
        return ExitCode::FAILURE;
    };
    let callback = format!("{}/callback", config.issuer.as_str().trim_end_matches('/'));
    let Ok(callback) = Url::parse(&callback) else {
        eprintln!("countersign: the issuer is not a URL");
        return ExitCode::FAILURE;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let diagnosis = match runtime {
        Ok(runtime) => runtime.block_on(query(connector, arguments.user.as_deref(), &callback)),
        Err(error) => Err(error.to_string()),
    };
    match diagnosis {
        Ok(diagnosis) => {
            match arguments.output {
                OutputFormat::Table => print!("{}", diagnosis.text()),
                OutputFormat::Json => print_json(&diagnosis.json(id)),
            }
            if diagnosis.failure.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("countersign: {error}");
            ExitCode::FAILURE
        }
    }
}

/// An upstream's response, as far as it can be queried without a browser.
#[derive(Default)]
struct Diagnosis {
    trace: Trace,
    /// The user, if the upstream can be queried about one.
    identity: Option<Identity>,
    /// The user's groups; `None` if unknown, which differs from an empty list.
    groups: Option<Vec<String>>,
    /// Why a login would fail, or why this is not known.
    failure: Option<String>,
}

async fn query(
    connector: &Connector,
    user: Option<&str>,
    callback: &Url,
) -> Result<Diagnosis, String> {
    match (&connector.login_method, user) {
        (LoginMethod::Password(method), Some(user)) => Ok(query_user(method.as_ref(), user).await),
        (LoginMethod::Password(_), None) => {
            Err(format!("--connector {} needs --user NAME", connector.id))
        }
        (LoginMethod::Redirect(method), user) => Ok(query_provider(method.as_ref(), user).await),
        (LoginMethod::PostedForm(method), _) => {
            let mut diagnosis = Diagnosis::default();
            method.diagnose(callback, SystemClock::uncorrected(), &mut diagnosis.trace);
            Ok(diagnosis)
        }
        (LoginMethod::TrustedHeader(method), _) => Ok(describe(method.as_ref())),
    }
}

async fn query_user(method: &dyn PasswordLogin, user: &str) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    match method.diagnose(user, &mut diagnosis.trace).await {
        Ok(AccountDiagnosis::Found(identity)) => {
            diagnosis.groups = Some(identity.groups.clone());
            diagnosis.identity = Some(*identity);
        }
        Ok(AccountDiagnosis::Refused { reason }) => {
            diagnosis.failure = Some(format!("would be refused: {reason}"));
        }
        Err(error) => diagnosis.failure = Some(error.to_string()),
    }
    diagnosis
}

/// Queries a provider that browsers are redirected to: its metadata and, for some, a user's groups.
async fn query_provider(method: &dyn RedirectLogin, user: Option<&str>) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    match method.diagnose(user, SystemClock::uncorrected(), &mut diagnosis.trace).await {
        Ok(groups) => diagnosis.groups = groups,
        Err(error) => diagnosis.failure = Some(error.to_string()),
    }
    diagnosis
}

/// Describes a trusted-header connector: there is no upstream to query, so the trace lists the requirements on the
/// proxy.
fn describe(method: &dyn TrustedHeaderLogin) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    method.diagnose(&mut diagnosis.trace);
    diagnosis
}

impl Diagnosis {
    fn text(&self) -> String {
        let mut lines = trace_lines(&self.trace);
        if self.identity.is_some() || self.groups.is_some() || self.failure.is_some() {
            lines.push(String::new());
        }
        if let Some(identity) = &self.identity {
            lines.push(format!("user id             {}", identity.user_id));
            lines.push(format!("name                {}", identity.username));
            lines.push(format!("preferred username  {}", identity.preferred_username));
            lines.push(format!("email               {}", identity.email));
        }
        if let Some(groups) = &self.groups {
            lines.push(format!("groups              {}", groups.len()));
            lines.extend(groups.iter().map(|group| format!("  {group}")));
        }
        lines.extend(self.failure.clone());
        lines.join("\n") + "\n"
    }

    fn json(&self, connector: &ConnectorId) -> Value {
        let user = self.identity.as_ref().map(|identity| {
            json!({
                "user_id": identity.user_id,
                "username": identity.username,
                "preferred_username": identity.preferred_username,
                "email": identity.email,
            })
        });
        json!({
            "connector": connector.as_str(),
            "trace": trace_lines(&self.trace),
            "user": user,
            "groups": self.groups,
            "failure": self.failure,
        })
    }
}
