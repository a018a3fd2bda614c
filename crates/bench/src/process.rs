//! Processor time and memory of the server, from Linux's /proc.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Error;

/// `USER_HZ`, the unit of `utime` and `stime`: 100 on every Linux that Rust's tier 1 targets run on.
const TICKS_PER_SECOND: u64 = 100;

#[derive(Clone, Copy, Debug)]
pub struct Process {
    pid: u32,
}

impl Process {
    pub fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// User and system time of all threads so far.
    pub fn cpu_time(self) -> Result<Duration, Error> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        cpu_time(&stat).ok_or_else(|| "/proc/PID/stat is not understood".into())
    }

    /// VmRSS.
    pub fn resident_mib(self) -> Result<f64, Error> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        let kib: f64 = kib.and_then(|kib| kib.parse().ok()).ok_or("no VmRSS")?;
        Ok(kib / 1024.0)
    }
}

/// How often memory is read while a load runs.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);

/// The greatest resident memory while the work runs, beside its result.
pub async fn with_peak_memory<T>(
    process: Option<Process>,
    work: impl Future<Output = T>,
) -> Result<(T, Option<f64>), Error> {
    let mut peak: Option<f64> = None;
    let sample = async {
        loop {
            tokio::time::sleep(SAMPLE_INTERVAL).await;
            let now = process.and_then(|process| process.resident_mib().ok());
            peak = now.into_iter().chain(peak).reduce(f64::max);
        }
    };
    let done = tokio::select! {
        done = work => Some(done),
        () = sample => None,
    };
    Ok((done.ok_or("the samples of memory ended")?, peak))
}

/// Fields 14 and 15 of proc_pid_stat(5). The second field, the name in parentheses, may contain any character.
fn cpu_time(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// The processor and the number of its cores, from /proc/cpuinfo.
pub fn machine() -> Result<String, Error> {
    let text = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = text.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = text.lines().filter(|line| line.starts_with("processor")).count();
    Ok(format!("{model}, {cores} cores"))
}

/// Pins this process, the load generator, to a core other than the server's.
pub fn pin_to_core(core: usize) -> Result<(), Error> {
    let pid = std::process::id().to_string();
    let status = Command::new("taskset")
        .args(["-a", "-p", "-c", &core.to_string(), &pid])
        .stdout(Stdio::null())
        .status()?;
    if status.success() { Ok(()) } else { Err("taskset could not pin the load".into()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Process, cpu_time};

    #[test]
    fn processor_time_is_user_and_system_time() {
        let stat =
            "42 (a name) with ) 7) S 1 42 42 0 -1 4194560 2000 0 0 0 150 25 9 9 20 0 5 0 1 1 1";
        assert_eq!(cpu_time(stat), Some(Duration::from_millis(1750)));
        assert_eq!(cpu_time("42 (x) S 1"), None);
    }

    #[test]
    fn this_process_has_memory() {
        assert!(Process::new(std::process::id()).resident_mib().unwrap() > 0.5);
    }
}
