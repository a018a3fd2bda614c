//! The command `local`: servers of its own, one after another on the same core, each with another setup; and the rate at
//! which OpenSSL alone signs on that core.

use std::process::Command;
use std::sync::Arc;

use crate::Error;
use crate::arguments::{LoadArguments, LocalArguments};
use crate::issuer::Issuer;
use crate::local_server::{self, LocalServer, ServerDirectory};
use crate::measure::{self, Target};
use crate::report::Run;
use crate::setup::{Algorithm, Operation, Setup, Storage};

/// How often the servers with different numbers of sessions take turns, so that a slow minute does not decide.
const GROWTH_ROUNDS: u32 = 2;

pub struct Local<'a> {
    pub arguments: &'a LocalArguments,
    pub load: &'a LoadArguments,
}

impl Local<'_> {
    /// One run: one setup if the arguments select one, otherwise all.
    pub async fn run(&self, number: u32) -> Result<Vec<Run>, Error> {
        let signatures = signatures_per_second(local_server::CORE)?;
        let mut runs = match self.arguments.setup() {
            Some(setup) => {
                let operations = self.load.operations_or(&[Operation::Refresh, Operation::Login]);
                vec![self.measure(setup, operations).await?]
            }
            None => self.all(number).await?,
        };
        for run in &mut runs {
            run.openssl_signatures_per_second = Some(signatures);
        }
        Ok(runs)
    }

    async fn all(&self, number: u32) -> Result<Vec<Run>, Error> {
        let setup = Setup::default();
        let mut first = self.measure(setup, self.load.operations_or(&Operation::ALL)).await?;
        if number == 1 && self.arguments.logins > 0 {
            first.resident_after_logins_mib = Some(self.resident_after_logins(setup).await?);
        }
        let mut runs = vec![first];
        for setup in self.other_setups() {
            runs.push(self.measure(setup, &[Operation::Refresh]).await?);
        }
        if number == 1 && self.arguments.growth.len() > 1 {
            runs.extend(self.growth().await?);
        }
        Ok(runs)
    }

    fn other_setups(&self) -> Vec<Setup> {
        let setup = Setup::default();
        let mut setups = vec![
            Setup { algorithm: Algorithm::Es256, ..setup },
            Setup { access_tokens: Some(Algorithm::Es256), ..setup },
        ];
        match self.arguments.dsn {
            Some(_) => setups.push(Setup { storage: Storage::Postgres, ..setup }),
            None => eprintln!("  PostgreSQL is not measured: there is no --dsn"),
        }
        setups
    }

    async fn measure(&self, setup: Setup, operations: &[Operation]) -> Result<Run, Error> {
        let directory = ServerDirectory::new(setup, self.arguments.dsn.as_ref())?;
        let first = LocalServer::start(&self.arguments.binary, &directory).await?;
        let first_start_ms = first.start_to_ready.as_secs_f64() * 1000.0;
        drop(first);
        if setup.sessions > 0 {
            directory.insert_sessions(setup.sessions)?;
        }
        let run = self.measure_in(&directory, setup, operations).await?;
        Ok(Run { first_start_ms: Some(first_start_ms), ..run })
    }

    /// Starts the server again, now with keys present.
    async fn measure_in(
        &self,
        directory: &ServerDirectory,
        setup: Setup,
        operations: &[Operation],
    ) -> Result<Run, Error> {
        eprintln!("  {setup}");
        let binary = &self.arguments.binary;
        let server = LocalServer::start(binary, directory).await?;
        let target = target(&server, setup).await?;
        let run = measure::measure_all(&target, operations, self.load).await?;
        #[expect(clippy::cast_precision_loss, reason = "a size of megabytes")]
        let size = std::fs::metadata(binary)?.len() as f64 / 1_048_576.0;
        Ok(Run {
            start_to_ready_ms: Some(server.start_to_ready.as_secs_f64() * 1000.0),
            binary_mib: Some(size),
            ..run
        })
    }

    async fn resident_after_logins(&self, setup: Setup) -> Result<f64, Error> {
        eprintln!("  {} logins", self.arguments.logins);
        let directory = ServerDirectory::new(setup, self.arguments.dsn.as_ref())?;
        let server = LocalServer::start(&self.arguments.binary, &directory).await?;
        let target = target(&server, setup).await?;
        measure::log_in(&target, self.arguments.logins, self.load).await?;
        tokio::time::sleep(local_server::SETTLE_TIME).await;
        server.process().resident_mib()
    }

    async fn growth(&self) -> Result<Vec<Run>, Error> {
        let mut servers = Vec::new();
        for sessions in &self.arguments.growth {
            let setup = Setup { sessions: *sessions, ..Setup::default() };
            eprintln!("  {setup}: inserting them");
            let directory = ServerDirectory::new(setup, None)?;
            drop(LocalServer::start(&self.arguments.binary, &directory).await?);
            directory.insert_sessions(*sessions)?;
            servers.push((setup, directory));
        }
        let mut runs = Vec::new();
        for _ in 0..GROWTH_ROUNDS {
            for (setup, directory) in &servers {
                runs.push(self.measure_in(directory, *setup, &[Operation::Refresh]).await?);
            }
        }
        Ok(runs)
    }
}

/// Waits until the work after the start is done.
async fn target(server: &LocalServer, setup: Setup) -> Result<Target, Error> {
    tokio::time::sleep(local_server::SETTLE_TIME).await;
    let issuer = Arc::new(Issuer::discover(local_server::issuer_options()).await?);
    Ok(Target { issuer, process: Some(server.process()), setup: Some(setup) })
}

/// RSA-2048 private-key operations per second, by `openssl speed` on this core: the upper bound for an issuer that signs
/// with RSA.
fn signatures_per_second(core: usize) -> Result<f64, Error> {
    let output = Command::new("taskset")
        .args(["-c", &core.to_string(), "openssl", "speed", "-seconds", "3", "rsa2048"])
        .output()?;
    parse_speed(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| "openssl speed printed no result for rsa2048".into())
}

/// Parses the line `rsa 2048 bits 0.000254s 0.000008s   3930.2 123456.7`, which has more columns in newer versions; the
/// title above it names the column of signatures per second.
fn parse_speed(text: &str) -> Option<f64> {
    let is_result = |line: &&str| {
        let mut words = line.split_whitespace();
        words.next() == Some("rsa") && words.next() == Some("2048")
    };
    let title = text.lines().find(|line| line.contains("sign/s"))?;
    let line = text.lines().rev().find(is_result)?;
    let column = title.split_whitespace().position(|word| word == "sign/s")?;
    let from_the_end = title.split_whitespace().count() - column;
    line.split_whitespace().rev().nth(from_the_end - 1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse_speed;

    #[test]
    fn both_layouts_of_openssl_are_read() {
        let three = "                  sign    verify    sign/s verify/s\n\
                     rsa 2048 bits 0.000254s 0.000008s   3930.2 123456.7\n";
        assert_eq!(parse_speed(three), Some(3930.2));
        let newer = "                  sign    verify    encrypt   decrypt   sign/s verify/s  encr./s  decr./s\n\
                     rsa  2048 bits 0.000254s 0.000008s 0.000009s 0.000300s   3930.2 123456.7 110000.0 3300.0\n";
        assert_eq!(parse_speed(newer), Some(3930.2));
        assert_eq!(parse_speed("nothing"), None);
    }
}
