//! Reloads the configuration file: on SIGHUP, when it or a file it names has changed, and at an administrator's
//! request.
//!
//! A complete new application is built before the one in use is replaced; an error changes nothing. Kept across a
//! reload: the database, the threads and tables that count attempts, metrics, circuit breakers.

use std::sync::Arc;

use countersign_core::event::EventKind;
use countersign_core::{Event, Secret};
use countersign_server::process_state::{
    ConfigurationDigest, ReloadAction, ReloadReport, ReloadRequest,
};
use countersign_server::{CurrentApp, ReloadState};
use rustls::ServerConfig;
use tokio::sync::{mpsc, watch};

use super::plan::{Plan, changes_signer, digest, ending_sessions, example_app_warning};
use super::watch::{FileWatch, POLL_INTERVAL, Retry, WatchedFiles};
use super::{Certificates, Reading, read_again};
use crate::cli::ServeArguments;
use crate::config::Config;
use crate::config::blocks::FORMAT;
use crate::logging::LogHandle;
use crate::wiring::Shared;
use crate::{tls, wiring};

/// The actor of a reload that no administrator requested.
const SYSTEM: &str = "system";
/// The key of HMACs that are compared within this process.
const LOCAL_KEY: &str = "this process";
const INCOMPARABLE: &str = "the configurations cannot be compared: this server and the program that asks it are of \
    different versions, use the same";

pub struct Reloader {
    pub arguments: ServeArguments,
    /// The configuration in use.
    pub config: Config,
    pub current: CurrentApp,
    pub shared: Shared,
    pub certificates: Certificates,
    pub log: Option<LogHandle>,
    pub watch: FileWatch,
    /// Set after a valid configuration could not be applied.
    pub retry: Option<Retry>,
}

impl Reloader {
    pub async fn run(
        mut self,
        mut hangups: watch::Receiver<u32>,
        mut requests: mpsc::Receiver<ReloadRequest>,
    ) {
        self.record(&ReloadReport { applied: true, ..ReloadReport::default() });
        loop {
            tokio::select! {
                Ok(()) = hangups.changed() => { Box::pin(self.reload("SIGHUP", SYSTEM)).await; }
                Some(request) = requests.recv() => {
                    let report = match request.action {
                        ReloadAction::Plan => {
                            Box::pin(self.plan(read_again(&self.arguments))).await.1
                        }
                        ReloadAction::Compare { digest, key } => self.compare(&digest, &key).await,
                        ReloadAction::Apply { actor } => {
                            Box::pin(self.reload("an administrator", &actor)).await
                        }
                    };
                    let _gone = request.reply.send(report);
                }
                () = tokio::time::sleep(POLL_INTERVAL) => {
                    if self.watch.has_changed() {
                        Box::pin(self.reload("a changed file", SYSTEM)).await;
                    } else if let Some((reason, actor)) = self.due_retry() {
                        Box::pin(self.reload(&reason, &actor)).await;
                    }
                }
            }
        }
    }

    /// Reason and actor of a reload that is to be repeated now.
    fn due_retry(&self) -> Option<(String, String)> {
        let now = self.shared.clock.now();
        let retry = self.retry.as_ref().filter(|retry| retry.is_due(now))?;
        Some((retry.reason.clone(), retry.actor.clone()))
    }

    /// `actor` is recorded in the audit log. A configuration that cannot be used is not tried again until it changes, or
    /// one of the files that it names: Kubernetes updates a ConfigMap and a Secret at different times.
    /// One that is valid and could not be applied is tried again every 30 seconds, because the cause may be temporary.
    async fn reload(&mut self, reason: &str, actor: &str) -> ReloadReport {
        self.watch.take_up();
        let before = self.retry.take();
        let mut reading = read_again(&self.arguments);
        // At once, so that a change while the configuration is applied is noticed.
        let mut files = watched_files(&self.arguments, &self.config);
        files.optional.append(&mut reading.files);
        self.watch.follow(files);
        let (config, mut report) = Box::pin(self.plan(reading)).await;
        if let Some(config) = config {
            let is_signer_unchanged = !changes_signer(&report.changes);
            match Box::pin(self.apply(config, is_signer_unchanged)).await {
                Ok(()) => report.applied = true,
                Err(problem) => {
                    report.problems.push(problem.clone());
                    let (reason, actor) = (reason.to_owned(), actor.to_owned());
                    let tried_at = self.shared.clock.now();
                    self.retry = Some(Retry { reason, actor, problem, tried_at });
                }
            }
        }
        self.record(&report);
        if report.applied {
            let changes: Vec<&str> = report.changes.iter().map(|c| c.key.as_str()).collect();
            tracing::info!(
                event = "configuration_reloaded",
                reason,
                changes = changes.join(", "),
                needs_restart = report.needs_restart.join(", "),
                "the configuration was read again"
            );
            self.audit(&report, reason, actor).await;
        } else {
            self.log_failure(&report, reason, before.as_ref());
        }
        report
    }

    /// Each cause of a repeated reload is logged once, not at each attempt.
    fn log_failure(&self, report: &ReloadReport, reason: &str, before: Option<&Retry>) {
        let Some(retry) = &self.retry else {
            for problem in &report.problems {
                tracing::error!(
                    event = "configuration_reload_failed",
                    reason,
                    problem,
                    "the configuration file cannot be used; the one in use stays"
                );
            }
            return;
        };
        if before.is_none_or(|before| before.problem != retry.problem) {
            tracing::error!(
                event = "configuration_reload_failed",
                reason,
                problem = retry.problem,
                "the configuration could not be applied; it is tried again every 30 seconds"
            );
        }
    }

    /// Each replica reads its own file and records its own changes.
    async fn audit(&self, report: &ReloadReport, reason: &str, actor: &str) {
        if report.changes.is_empty() {
            return;
        }
        let issuer = &self.current.app().issuer;
        let mut event = Event::new(issuer.now(), EventKind::ConfigurationReloaded, actor);
        event.details = serde_json::json!({
            "trigger": reason,
            "changes": report.changes,
            "needs_restart": report.needs_restart,
        });
        if let Err(error) = issuer.store.add_event(event).await {
            tracing::error!(%error, "the reload is not in the audit log");
        }
    }

    /// Validates what was read. The configuration is returned if it can be applied.
    async fn plan(&self, reading: Reading) -> (Option<Config>, ReloadReport) {
        let Reading { config, errors, warnings, .. } = reading;
        let mut report = ReloadReport { problems: errors, warnings, ..ReloadReport::default() };
        let Some(config) = config else { return (None, report) };
        let key = Secret::new(LOCAL_KEY);
        let compared = self.compare(&digest(&config, &key), &key).await;
        report.problems.extend(compared.problems);
        report.problems.extend(NewTls::of(&config).err());
        report.warnings.extend(compared.warnings);
        let (problems, warnings) = (report.problems, report.warnings);
        let report = ReloadReport { problems, warnings, ..compared };
        (Some(config).filter(|_| report.problems.is_empty()), report)
    }

    /// How another configuration, whose HMACs were made with `key`, differs from the one in use.
    async fn compare(&self, newer: &ConfigurationDigest, key: &Secret) -> ReloadReport {
        if newer.format != FORMAT || key.is_empty() {
            return ReloadReport {
                problems: vec![INCOMPARABLE.to_owned()],
                ..ReloadReport::default()
            };
        }
        let plan = Plan::of(&digest(&self.config, key), newer);
        let mut report = ReloadReport {
            warnings: example_app_warning(&self.config, &plan.changes).into_iter().collect(),
            changes: plan.changes,
            needs_restart: plan.needs_restart,
            problems: plan.refusals,
            ..ReloadReport::default()
        };
        match ending_sessions(&self.current.app().issuer, &self.config, newer).await {
            Ok(ending) => report.ending = ending,
            Err(reason) => report.warnings.push(format!("the sessions were not counted: {reason}")),
        }
        report
    }

    async fn apply(&mut self, config: Config, is_signer_unchanged: bool) -> Result<(), String> {
        let tls = NewTls::of(&config)?;
        let (running, shared) = (self.current.app(), &self.shared);
        let app = wiring::reopen(&config, &running, shared, is_signer_unchanged).await?;
        wiring::check_signer(&app)?;
        wiring::put_into_use(&app, Some(&running)).await;
        self.current.replace(app);
        self.read_again().await;
        let Certificates { web, grpc } = &self.certificates;
        for (certificate, tls) in [(web, tls.web), (grpc, tls.grpc)] {
            if let Some((certificate, tls)) = certificate.as_ref().zip(tls) {
                certificate.replace(tls);
            }
        }
        if let Some(log) = &self.log {
            log.apply(&config.logger);
        }
        self.watch.follow(watched_files(&self.arguments, &config));
        self.config = config;
        Ok(())
    }

    /// Reads what an administrator may have changed between the time when it was read for this configuration and now.
    /// Repeated regularly, so that failures are only logged. Keys that the configuration does not need are dropped from
    /// now on.
    async fn read_again(&self) {
        let app = self.current.app();
        for (what, read) in [
            ("keys", app.issuer.renew_keys().await),
            ("circuit breakers", app.issuer.reload_circuit_breakers().await),
            ("stored objects", app.issuer.reload_stored_objects().await),
        ] {
            if let Err(failure) = read {
                tracing::error!(cause = %failure, "the {what} could not be read");
            }
        }
    }

    fn record(&self, report: &ReloadReport) {
        let app = self.current.app();
        let (now, before) = (app.issuer.now(), app.process.reload_state());
        let state = match report.applied {
            true => ReloadState {
                loaded_at: Some(now),
                failure: None,
                needs_restart: merged(before.needs_restart, &report.needs_restart),
            },
            false => ReloadState { failure: Some((now, report.problems.join("\n"))), ..before },
        };
        app.process.set_reload_state(state);
    }
}

/// The certificates and keys that a configuration names, as read now.
struct NewTls {
    web: Option<Arc<ServerConfig>>,
    grpc: Option<Arc<ServerConfig>>,
}

impl NewTls {
    fn of(config: &Config) -> Result<Self, String> {
        let grpc = config.grpc.as_ref().and_then(|grpc| grpc.tls.as_ref());
        Ok(Self {
            web: config.web.https.as_ref().map(tls::server_config).transpose()?,
            grpc: grpc.map(tls::grpc_server_config).transpose()?,
        })
    }
}

/// Changes that an earlier reload left for a restart are still pending.
fn merged(mut all: Vec<String>, more: &[String]) -> Vec<String> {
    all.extend_from_slice(more);
    all.sort();
    all.dedup();
    all
}

pub fn watched_files(arguments: &ServeArguments, config: &Config) -> WatchedFiles {
    let blocks = &config.blocks;
    let files = blocks.files.iter().chain(&blocks.optional_files);
    WatchedFiles { required: vec![arguments.file.clone()], optional: files.cloned().collect() }
}
