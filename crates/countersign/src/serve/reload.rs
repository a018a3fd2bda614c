//! Reloads the configuration file: on SIGHUP, when it or a file it names has changed, and at an administrator's
//! request.
//!
//! A complete new application is built before the one in use is replaced; an error changes nothing. Kept across a
//! reload: the database, the threads and tables that count attempts, metrics, circuit breakers.

use std::sync::Arc;

use countersign_core::Event;
use countersign_core::event::EventKind;
use countersign_server::process_state::{
    ConfigurationDigest, ReloadAction, ReloadReport, ReloadRequest,
};
use countersign_server::{CurrentApp, ReloadState};
use rustls::ServerConfig;
use tokio::sync::{mpsc, watch};

use super::plan::{Plan, digest, ending_sessions};
use super::watch::{FileWatch, LOOK_INTERVAL, WatchedFiles};
use super::{Certificates, read_again};
use crate::cli::ServeArguments;
use crate::config::Config;
use crate::logging::LogHandle;
use crate::wiring::Shared;
use crate::{tls, wiring};

/// The actor of a reload that no administrator requested.
const SYSTEM: &str = "system";

pub struct Reloader {
    pub arguments: ServeArguments,
    /// The configuration in use.
    pub config: Config,
    pub current: CurrentApp,
    pub shared: Shared,
    pub certificates: Certificates,
    pub log: Option<LogHandle>,
    pub watch: FileWatch,
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
                        ReloadAction::Plan => self.plan().await.1,
                        ReloadAction::Compare(digest) => self.compare(&digest).await,
                        ReloadAction::Apply { actor } => {
                            Box::pin(self.reload("an administrator", &actor)).await
                        }
                    };
                    let _gone = request.reply.send(report);
                }
                () = tokio::time::sleep(LOOK_INTERVAL) => {
                    if self.watch.has_changed() {
                        Box::pin(self.reload("a changed file", SYSTEM)).await;
                    }
                }
            }
        }
    }

    /// `actor` is recorded in the audit log.
    async fn reload(&mut self, reason: &str, actor: &str) -> ReloadReport {
        self.watch.take_up();
        let (config, mut report) = self.plan().await;
        if let Some(config) = config {
            match Box::pin(self.apply(config)).await {
                Ok(()) => report.applied = true,
                Err(problem) => report.problems.push(problem),
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
            for problem in &report.problems {
                tracing::error!(
                    event = "configuration_reload_failed",
                    reason,
                    problem,
                    "the configuration file cannot be used; the one in use stays"
                );
            }
        }
        report
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

    /// Reads and validates the file. The configuration is returned if it can be applied.
    async fn plan(&self) -> (Option<Config>, ReloadReport) {
        let mut report = ReloadReport::default();
        let (config, errors, warnings) = read_again(&self.arguments);
        report.problems = errors;
        report.warnings = warnings;
        let Some(config) = config else { return (None, report) };
        let compared = self.compare(&digest(&config)).await;
        report.problems.extend(compared.problems);
        report.problems.extend(NewTls::of(&config).err());
        report.warnings.extend(compared.warnings);
        let (problems, warnings) = (report.problems, report.warnings);
        let report = ReloadReport { problems, warnings, ..compared };
        (Some(config).filter(|_| report.problems.is_empty()), report)
    }

    /// How another configuration differs from the one in use.
    async fn compare(&self, newer: &ConfigurationDigest) -> ReloadReport {
        let plan = Plan::of(&digest(&self.config), newer);
        let mut report = ReloadReport {
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

    async fn apply(&mut self, config: Config) -> Result<(), String> {
        let tls = NewTls::of(&config)?;
        let app = wiring::reopen(&config, &self.current.app(), &self.shared).await?;
        wiring::check_signer(&app)?;
        self.current.replace(app);
        // Keys that the new configuration does not need are dropped from now on. Repeated every 30 seconds.
        if let Err(failure) = self.current.app().issuer.renew_keys().await {
            tracing::error!(cause = %failure, "the keys could not be read");
        }
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
    WatchedFiles {
        required: std::iter::once(&arguments.file).chain(&blocks.files).cloned().collect(),
        optional: blocks.optional_files.clone(),
    }
}
