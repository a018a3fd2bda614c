//! `process_*`: the metrics common to Prometheus client libraries, from /proc on Linux; none on other systems.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;

use super::collectors::gauge;

/// Linux constants on all architectures that Rust supports: time units in /proc (USER_HZ), and bytes per page.
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: i64 = 4096;

#[derive(Debug)]
pub struct OperatingSystem;

impl Collector for OperatingSystem {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(stat) = Stat::read() else { return Ok(()) };
        let seconds = ConstCounter::new(stat.cpu_ticks / TICKS_PER_SECOND);
        let help = "User and system CPU time";
        let name = "process_cpu_seconds";
        seconds.encode(encoder.encode_descriptor(name, help, None, seconds.metric_type())?)?;
        let mut number = |name, help, value| gauge(&mut encoder, name, help, value);
        number(
            "process_resident_memory_bytes",
            "Resident memory",
            stat.resident_pages * PAGE_BYTES,
        )?;
        number("process_virtual_memory_bytes", "Virtual memory", stat.virtual_bytes)?;
        number("process_threads", "Threads", stat.threads)?;
        if let Some(started) = stat.started_at() {
            number("process_start_time_seconds", "When the process started", started)?;
        }
        if let Some(open) = fs::read_dir("/proc/self/fd").ok().map(Iterator::count) {
            // Excludes the descriptor that reads the directory.
            let open = i64::try_from(open).unwrap_or(i64::MAX).saturating_sub(1);
            number("process_open_fds", "Open file descriptors", open)?;
        }
        if let Some(max) = max_open_files() {
            number("process_max_fds", "Most file descriptors that may be open", max)?;
        }
        Ok(())
    }
}

/// Fields of /proc/self/stat (proc(5)).
struct Stat {
    cpu_ticks: f64,
    threads: i64,
    started_ticks: f64,
    virtual_bytes: i64,
    resident_pages: i64,
}

impl Stat {
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        // The second field is the program's name in parentheses; it may contain anything.
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        // proc(5) numbers fields from 1; `rest` begins with the third.
        let field = |number: usize| fields.get(number.checked_sub(3)?).copied();
        Some(Self {
            cpu_ticks: field(14)?.parse::<f64>().ok()? + field(15)?.parse::<f64>().ok()?,
            threads: field(20)?.parse().ok()?,
            started_ticks: field(22)?.parse().ok()?,
            virtual_bytes: field(23)?.parse().ok()?,
            resident_pages: field(24)?.parse().ok()?,
        })
    }

    /// Seconds since 1970.
    fn started_at(&self) -> Option<i64> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let boot: i64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()?;
        #[expect(clippy::cast_possible_truncation, reason = "seconds since the machine started")]
        let since_boot = (self.started_ticks / TICKS_PER_SECOND) as i64;
        Some(boot + since_boot)
    }
}

fn max_open_files() -> Option<i64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
