//! Results as tables (Markdown, for the documents) or as JSON.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::setup::{Operation, Setup};
use crate::statistics::{Percentiles, Spread};

/// The results of all runs.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// The processor.
    #[serde(default)]
    pub machine: String,
    pub runs: Vec<Run>,
}

/// The results of one run on one setup.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// Not known of a server that was already running.
    pub setup: Option<Setup>,
    pub operations: Vec<OperationResult>,
    /// RSA-2048 signatures by `openssl speed` on the same core.
    pub openssl_signatures_per_second: Option<f64>,
    /// Resident memory of the server before the load.
    pub resident_idle_mib: Option<f64>,
    /// Resident memory of the server after the load.
    pub resident_after_mib: Option<f64>,
    /// Resident memory after the logins of `--logins`.
    pub resident_after_logins_mib: Option<f64>,
    /// With an empty database.
    pub first_start_ms: Option<f64>,
    pub start_to_ready_ms: Option<f64>,
    pub binary_mib: Option<f64>,
}

/// The measurements of one operation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct OperationResult {
    pub operation: String,
    /// RSA signatures that one operation makes.
    pub signatures: Option<u32>,
    /// Operations per second in the closed loop.
    pub per_second: f64,
    /// CPU time of the server's process, user and system.
    pub cpu_us: Option<f64>,
    /// The greatest resident memory of the server in the closed loop.
    #[serde(default)]
    pub peak_resident_mib: Option<f64>,
    /// Milliseconds, in the closed loop.
    pub latency: Percentiles,
    /// Milliseconds from the due instant, at the fixed rate.
    pub latency_at_rate: Option<Percentiles>,
    /// The achieved rate: lower than requested if the server could not keep up.
    pub achieved_rate: Option<f64>,
}

impl Run {
    pub fn operation(&self, name: &str) -> Option<&OperationResult> {
        self.operations.iter().find(|one| one.operation == name)
    }

    pub fn cpu_us(&self, operation: Operation) -> Option<f64> {
        self.operation(&operation.name())?.cpu_us
    }

    /// The time that one signature takes with `openssl speed`.
    pub fn signature_us(&self) -> Option<f64> {
        self.openssl_signatures_per_second.map(|per_second| 1e6 / per_second)
    }

    /// Signatures per second by this operation, divided by those of `openssl speed`.
    pub fn ratio_to_openssl(&self, operation: &str) -> Option<f64> {
        let result = self.operation(operation)?;
        let signatures = f64::from(result.signatures.filter(|count| *count > 0)?);
        Some(signatures * result.per_second / self.openssl_signatures_per_second?)
    }
}

/// The runs on one setup.
pub struct Group<'a> {
    pub setup: Option<Setup>,
    pub runs: Vec<&'a Run>,
}

impl Report {
    pub fn read(file: &Path) -> Result<Self, Error> {
        let at = |cause: &dyn std::fmt::Display| format!("{}: {cause}", file.display());
        let text = std::fs::read_to_string(file).map_err(|error| at(&error))?;
        Ok(serde_json::from_str(&text).map_err(|error| at(&error))?)
    }

    pub fn json(&self) -> Result<String, Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The runs by setup, in the order in which the setups first appear.
    pub fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: Vec<Group<'_>> = Vec::new();
        for run in &self.runs {
            match groups.iter_mut().find(|group| group.setup == run.setup) {
                Some(group) => group.runs.push(run),
                None => groups.push(Group { setup: run.setup, runs: vec![run] }),
            }
        }
        groups
    }

    /// The machine, and a table for each setup.
    pub fn table(&self) -> String {
        let tables: Vec<String> = self.groups().iter().map(Group::table).collect();
        let machine = match self.machine.is_empty() {
            true => String::new(),
            false => format!("{}\n\n", self.machine),
        };
        machine + &tables.join("\n")
    }
}

impl Group<'_> {
    pub fn spread(&self, value: impl Fn(&Run) -> Option<f64>) -> Option<Spread> {
        let values: Vec<f64> = self.runs.iter().filter_map(|run| value(run)).collect();
        Spread::of(&values)
    }

    /// The names of the operations that any run measured.
    pub fn operations(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for result in self.runs.iter().flat_map(|run| &run.operations) {
            if !names.contains(&result.operation.as_str()) {
                names.push(&result.operation);
            }
        }
        names
    }

    fn table(&self) -> String {
        let mut table = format!(
            "| {}{} run{} | median | minimum – maximum |\n|---|---|---|\n",
            self.setup.map_or(String::new(), |setup| format!("{setup}: ")),
            self.runs.len(),
            if self.runs.len() == 1 { "" } else { "s" }
        );
        for operation in self.operations() {
            table += &self.operation_rows(operation);
        }
        table += &self.row("`openssl speed rsa2048`, signatures per second", 0, |run| {
            run.openssl_signatures_per_second
        });
        table += &self.row("resident when idle, MiB", 1, |run| run.resident_idle_mib);
        table += &self.row("resident afterwards, MiB", 1, |run| run.resident_after_mib);
        let label = "resident after many logins, MiB";
        table += &self.row(label, 1, |run| run.resident_after_logins_mib);
        table += &self.row("first start to ready, ms", 0, |run| run.first_start_ms);
        table += &self.row("start to ready with keys present, ms", 0, |run| run.start_to_ready_ms);
        table += &self.row("size of the binary, MiB", 1, |run| run.binary_mib);
        table
    }

    fn operation_rows(&self, name: &str) -> String {
        let row = |label: &str, digits, value: &dyn Fn(&OperationResult) -> Option<f64>| {
            self.row(&format!("{name}: {label}"), digits, |run| value(run.operation(name)?))
        };
        let ratio = self
            .row(&format!("{name}: signatures ÷ OpenSSL's"), 2, |run| run.ratio_to_openssl(name));
        let in_signatures =
            self.row(&format!("{name}: the same in signatures of OpenSSL"), 2, |run| {
                Some(run.operation(name)?.cpu_us? / run.signature_us()?)
            });
        let at_rate = |value: fn(&Percentiles) -> f64| {
            move |one: &OperationResult| one.latency_at_rate.as_ref().map(value)
        };
        [
            row("per second", 0, &|one| Some(one.per_second)),
            ratio,
            row("processor time of the server, µs", 0, &|one| one.cpu_us),
            in_signatures,
            row("greatest resident memory, MiB", 1, &|one| one.peak_resident_mib),
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
        match self.spread(value) {
            None => String::new(),
            Some(Spread { median, minimum, maximum }) => format!(
                "| {label} | {median:.digits$} | {minimum:.digits$} – {maximum:.digits$} |\n"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OperationResult, Report, Run};
    use crate::setup::{Setup, Storage};
    use crate::statistics::Percentiles;

    fn run(setup: Option<Setup>, per_second: f64) -> Run {
        Run {
            setup,
            operations: vec![OperationResult {
                operation: "refresh".into(),
                signatures: Some(2),
                per_second,
                cpu_us: Some(1100.0),
                latency: Percentiles { p50: 4.0, ..Percentiles::default() },
                ..OperationResult::default()
            }],
            openssl_signatures_per_second: Some(2000.0),
            ..Run::default()
        }
    }

    #[test]
    fn signatures_are_shown_beside_the_ceiling() {
        let runs = [1000.0, 500.0, 700.0].map(|per_second| run(None, per_second));
        let table = Report { machine: "A processor".into(), runs: runs.into() }.table();
        assert!(table.starts_with("A processor\n\n| 3 runs | median |"), "{table}");
        for row in [
            "| refresh: per second | 700 | 500 – 1000 |\n",
            "| refresh: signatures ÷ OpenSSL's | 0.70 | 0.50 – 1.00 |\n",
            "| refresh: the same in signatures of OpenSSL | 2.20 | 2.20 – 2.20 |\n",
            "| refresh: p50, closed loop, ms | 4.00 |",
        ] {
            assert!(table.contains(row), "{row} is missing: {table}");
        }
        assert!(!table.contains("fixed rate") && !table.contains("resident"), "{table}");
    }

    #[test]
    fn each_setup_has_a_table_of_its_own() {
        let postgres = Setup { storage: Storage::Postgres, ..Setup::default() };
        let (sqlite, postgres) = (Some(Setup::default()), Some(postgres));
        let runs = vec![run(sqlite, 400.0), run(postgres, 300.0), run(sqlite, 600.0)];
        let table = Report { runs, ..Report::default() }.table();
        assert!(table.contains("| SQLite, RS256: 2 runs | median |"), "{table}");
        assert!(table.contains("| refresh: per second | 500 | 400 – 600 |"), "{table}");
        assert!(table.contains("| PostgreSQL, RS256: 1 run | median |"), "{table}");
    }

    /// As printed before setups were part of a report.
    #[test]
    fn an_older_report_is_read() {
        let text = r#"{"runs":[{"operations":[{"operation":"keys","signatures":null,
            "per_second":5000.0,"cpu_us":40.0,"latency":{"p50":1.0,"p99":2.0,"p99_9":3.0,"max":4.0},
            "latency_at_rate":null,"achieved_rate":null}],"sessions":0,
            "openssl_signatures_per_second":null,"resident_idle_mib":29.5}]}"#;
        let report: Report = serde_json::from_str(text).unwrap();
        assert!(report.table().contains("| keys: processor time of the server, µs | 40 |"));
    }
}
