//! Results as a table (Markdown, for the documents) or as JSON.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::load::LoadResult;
use crate::operation::Operation;
use crate::statistics::{Percentiles, Spread};

/// The results of all runs.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    pub runs: Vec<Run>,
}

/// The results of one run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Run {
    pub operations: Vec<OperationResult>,
    /// Number of sessions in the database before the first request; unknown for a server that was already running.
    #[serde(default)]
    pub sessions: Option<u32>,
    /// RSA-2048 signatures by `openssl speed` on the same core.
    pub openssl_signatures_per_second: Option<f64>,
    /// Resident memory of the server before the load.
    pub resident_idle_mib: Option<f64>,
    /// Resident memory of the server after the load.
    pub resident_after_mib: Option<f64>,
    pub start_to_ready_ms: Option<f64>,
    pub binary_mib: Option<f64>,
}

/// The measurements of one operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OperationResult {
    pub operation: String,
    /// Signatures that one operation makes.
    pub signatures: Option<u32>,
    /// Operations per second in the closed loop.
    pub per_second: f64,
    /// CPU time of the server's process, user and system.
    pub cpu_us: Option<f64>,
    /// Milliseconds, in the closed loop.
    pub latency: Percentiles,
    /// Milliseconds from the due instant, at the fixed rate.
    pub latency_at_rate: Option<Percentiles>,
    /// The achieved rate: lower than requested if the server could not keep up.
    pub achieved_rate: Option<f64>,
}

impl OperationResult {
    pub fn new(
        operation: Operation,
        closed: &LoadResult,
        cpu_us: Option<f64>,
        at_rate: Option<&LoadResult>,
    ) -> Self {
        Self {
            operation: operation.name(),
            signatures: operation.signatures(),
            per_second: closed.per_second(),
            cpu_us,
            latency: Percentiles::of(&closed.latencies),
            latency_at_rate: at_rate.map(|result| Percentiles::of(&result.latencies)),
            achieved_rate: at_rate.map(LoadResult::per_second),
        }
    }
}

impl Report {
    pub fn json(&self) -> Result<String, Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    pub fn table(&self) -> String {
        let mut table = format!(
            "| {} run{} | median | minimum – maximum |\n|---|---|---|\n",
            self.runs.len(),
            if self.runs.len() == 1 { "" } else { "s" }
        );
        table += &self.row("sessions in the database", 0, |run| run.sessions.map(f64::from));
        for (place, operation) in self.operations() {
            table += &self.operation_rows(place, &operation);
        }
        table += &self.row("`openssl speed rsa2048`, signatures per second", 0, |run| {
            run.openssl_signatures_per_second
        });
        table += &self.row("resident when idle, MiB", 1, |run| run.resident_idle_mib);
        table += &self.row("resident afterwards, MiB", 1, |run| run.resident_after_mib);
        table += &self.row("start to ready with keys present, ms", 0, |run| run.start_to_ready_ms);
        table += &self.row("size of the binary, MiB", 1, |run| run.binary_mib);
        table
    }

    /// Index in each run, and name, of every operation.
    pub fn operations(&self) -> Vec<(usize, String)> {
        let first = self.runs.first().map(|run| run.operations.as_slice()).unwrap_or_default();
        first.iter().enumerate().map(|(place, one)| (place, one.operation.clone())).collect()
    }

    fn operation_rows(&self, place: usize, name: &str) -> String {
        let row = |label: &str, digits, value: &dyn Fn(&OperationResult) -> Option<f64>| {
            self.row(&format!("{name}: {label}"), digits, |run| {
                run.operations.get(place).and_then(value)
            })
        };
        let ceiling = self.row(&format!("{name}: signatures ÷ OpenSSL's"), 2, |run| {
            let result = run.operations.get(place)?;
            let signatures = f64::from(result.signatures?) * result.per_second;
            Some(signatures / run.openssl_signatures_per_second?)
        });
        let at_rate = |value: fn(&Percentiles) -> f64| {
            move |one: &OperationResult| one.latency_at_rate.as_ref().map(value)
        };
        [
            row("per second", 0, &|one| Some(one.per_second)),
            ceiling,
            row("processor time of the server, µs", 0, &|one| one.cpu_us),
            row("p50, closed loop, ms", 2, &|one| Some(one.latency.p50)),
            row("p99, closed loop, ms", 2, &|one| Some(one.latency.p99)),
            row("achieved rate per second", 0, &|one| one.achieved_rate),
            row("p50 at the fixed rate, ms", 2, &at_rate(|p| p.p50)),
            row("p99 at the fixed rate, ms", 2, &at_rate(|p| p.p99)),
            row("p99.9 at the fixed rate, ms", 2, &at_rate(|p| p.p99_9)),
        ]
        .concat()
    }

    /// Empty if no run has the value.
    fn row(&self, label: &str, digits: usize, value: impl Fn(&Run) -> Option<f64>) -> String {
        let values: Vec<f64> = self.runs.iter().filter_map(value).collect();
        match Spread::of(&values) {
            None => String::new(),
            Some(Spread { median, minimum, maximum }) => format!(
                "| {label} | {median:.digits$} | {minimum:.digits$} – {maximum:.digits$} |\n"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LoadResult, Operation, OperationResult, Report, Run};

    #[test]
    fn signatures_are_shown_beside_the_ceiling() {
        let run = |refreshes: usize| Run {
            operations: vec![OperationResult::new(
                Operation::Refresh,
                &LoadResult {
                    elapsed: Duration::from_secs(2),
                    latencies: vec![Duration::from_millis(4); refreshes],
                },
                Some(1100.0),
                None,
            )],
            openssl_signatures_per_second: Some(2000.0),
            ..Run::default()
        };
        let table = Report { runs: vec![run(2000), run(1000), run(1400)] }.table();
        assert!(table.contains("| refresh: per second | 700 | 500 – 1000 |\n"), "{table}");
        assert!(
            table.contains("| refresh: signatures ÷ OpenSSL's | 0.70 | 0.50 – 1.00 |\n"),
            "{table}"
        );
        assert!(table.contains("| refresh: p50, closed loop, ms | 4.00 |"), "{table}");
        assert!(!table.contains("fixed rate") && !table.contains("resident"), "{table}");
    }
}
