//! Reloads the configuration file: on SIGHUP, when it or a file it names has changed, and at an administrator's
//! request.
//!
//! A complete new application is built before the one in use is replaced; an error changes nothing. Kept across a
//! reload: the database, the threads and tables that count attempts, metrics, circuit breakers.
//!
//! Changed files are detected by polling: files written in place, replaced by a rename, or the symbolic links of a
//! Kubernetes ConfigMap or Secret, which are replaced as a whole.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::Event;
use countersign_core::event::EventKind;
use countersign_server::process_state::{ReloadAction, ReloadReport, ReloadRequest};
use countersign_server::{CurrentApp, ReloadState};
use rustls::ServerConfig;
use tokio::sync::{mpsc, watch};

use super::plan::{Plan, ending_sessions};
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
        let plan = Plan::of(&self.config, &config);
        report.changes = plan.changes;
        report.needs_restart = plan.needs_restart;
        report.problems.extend(plan.refusals);
        report.problems.extend(NewTls::of(&config).err());
        let app = self.current.app();
        match ending_sessions(&app.issuer, &self.config, &config).await {
            Ok(ending) => report.ending = ending,
            Err(reason) => report.warnings.push(format!("the sessions were not counted: {reason}")),
        }
        (Some(config).filter(|_| report.problems.is_empty()), report)
    }

    async fn apply(&mut self, config: Config) -> Result<(), String> {
        let tls = NewTls::of(&config)?;
        let app = wiring::reopen(&config, &self.current.app(), &self.shared).await?;
        self.current.replace(app);
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

pub fn watched_files(arguments: &ServeArguments, config: &Config) -> Vec<PathBuf> {
    std::iter::once(&arguments.file).chain(&config.blocks.files).cloned().collect()
}

/// The polling interval. A change is reported when two successive polls find the same state, so that a file is not read
/// while it is being written.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Device, inode, modification time in nanoseconds, size; `None` if the file does not exist.
type FileIdentity = Option<(u64, u64, i128, u64)>;

pub struct FileWatch {
    files: Vec<PathBuf>,
    in_use: Vec<FileIdentity>,
    last_look: Vec<FileIdentity>,
}

impl FileWatch {
    pub fn new(files: Vec<PathBuf>) -> Self {
        let now = identities(&files);
        Self { files, in_use: now.clone(), last_look: now }
    }

    /// Watches these files from now on. Files watched before keep their state, so that a change in between is detected.
    pub fn follow(&mut self, files: Vec<PathBuf>) {
        let known = |file: &PathBuf| {
            let position = self.files.iter().position(|other| other == file)?;
            self.in_use.get(position).copied()
        };
        let in_use = files.iter().map(|f| known(f).unwrap_or_else(|| identity(f))).collect();
        self.last_look = identities(&files);
        self.in_use = in_use;
        self.files = files;
    }

    /// Records the present state; called just before the files are read.
    pub fn take_up(&mut self) {
        self.in_use = identities(&self.files);
    }

    /// Polls; true if there is a new, settled change. Each change is reported once.
    pub fn has_changed(&mut self) -> bool {
        let now = identities(&self.files);
        let is_settled = now == self.last_look && now.iter().all(Option::is_some);
        let is_new = now != self.in_use;
        self.last_look.clone_from(&now);
        if is_settled && is_new {
            self.in_use = now;
            return true;
        }
        false
    }
}

fn identities(files: &[PathBuf]) -> Vec<FileIdentity> {
    files.iter().map(identity).collect()
}

fn identity(file: &PathBuf) -> FileIdentity {
    let found = fs::metadata(file).ok()?;
    let changed = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
    Some((found.dev(), found.ino(), changed, found.size()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::FileWatch;

    #[test]
    fn a_config_map_that_is_swapped_is_noticed_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for version in ["v1", "v2", "v3"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("config.yaml"), version).unwrap();
        }
        symlink("v1", at("..data")).unwrap();
        symlink("..data/config.yaml", at("config.yaml")).unwrap();
        let mut watch = FileWatch::new(vec![at("config.yaml")]);
        assert!(!watch.has_changed());
        for version in ["v2", "v3"] {
            symlink(version, at("..data_tmp")).unwrap();
            fs::rename(at("..data_tmp"), at("..data")).unwrap();
            assert!(!watch.has_changed(), "it may still be changing");
            assert!(watch.has_changed());
            assert!(!watch.has_changed(), "once");
        }
        fs::remove_file(at("..data")).unwrap();
        assert!(
            !watch.has_changed() && !watch.has_changed(),
            "a file that is gone is no configuration"
        );
    }
}
