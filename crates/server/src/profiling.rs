//! `GET /debug/pprof/profile?seconds=N`: a CPU profile of this process in the format of pprof, as Dex serves it with
//! `telemetry.enableProfiling`. On the telemetry listener only.
//!
//! 99 times in a second of CPU time a signal handler records the return addresses of the thread that runs. It follows
//! frame pointers, checks with a system call that an address is mapped before it reads there, and takes no lock and
//! allocates nothing, so that it can neither hang nor end the process. Where code keeps no frame pointer, as the
//! assembler of the cryptographic libraries, it may take other words for return addresses, even parts of a key: only
//! addresses of program code leave this module ([`CodeMappings`]). The others are dropped with the profiler's memory and
//! its temporary file (mode 0600) at the end of the profile.

mod encoding;

use std::io::{self, Write};
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use pprof::{ProfilerGuard, ProfilerGuardBuilder, UnresolvedReport};

use self::encoding::{ProfileBuilder, Stack, Timing};
use crate::app::App;

/// As Go's profiler.
const DEFAULT_SECONDS: u64 = 30;
const MAX_SECONDS: u64 = 60;
/// Not a divisor of the intervals at which programs do something.
const SAMPLES_PER_SECOND: i32 = 99;

pub async fn get(State(app): State<App>, RawQuery(query): RawQuery) -> Response {
    if !app.settings.enable_profiling {
        return StatusCode::NOT_FOUND.into_response();
    }
    let Some(duration) = duration(query.as_deref().unwrap_or_default()) else {
        return text(
            StatusCode::BAD_REQUEST,
            format!("seconds must be a number from 1 to {MAX_SECONDS}"),
        );
    };
    let Some(_permit) = app.process.reserve_profiler() else {
        return text(StatusCode::CONFLICT, "another profile is being taken".to_owned());
    };
    tracing::info!(seconds = duration.as_secs(), "a CPU profile is being taken");
    match profile(duration).await {
        Ok(profile) => {
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream"),
                (header::CONTENT_DISPOSITION, "attachment; filename=\"profile\""),
                (header::CACHE_CONTROL, "no-store"),
            ];
            (headers, profile).into_response()
        }
        Err(cause) => {
            tracing::error!(cause, "no CPU profile could be taken");
            text(StatusCode::INTERNAL_SERVER_ERROR, cause)
        }
    }
}

fn text(status: StatusCode, text: String) -> Response {
    (status, format!("{text}\n")).into_response()
}

/// The parameter `seconds`; `None` if it is not a number within the limits.
fn duration(query: &str) -> Option<Duration> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let seconds = match pairs.find(|(name, _)| name == "seconds") {
        Some((_, text)) => text.parse().ok()?,
        None => DEFAULT_SECONDS,
    };
    (1..=MAX_SECONDS).contains(&seconds).then(|| Duration::from_secs(seconds))
}

async fn profile(duration: Duration) -> Result<Vec<u8>, String> {
    let begun = on_blocking_thread(start).await?;
    tokio::time::sleep(duration).await;
    on_blocking_thread(move || finish(begun)).await
}

async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?
}

/// The profiler stops when its guard is dropped.
fn start() -> Result<ProfilerGuard<'static>, String> {
    let builder = ProfilerGuardBuilder::default().frequency(SAMPLES_PER_SECOND);
    builder.build().map_err(|error| {
        format!(
            "{error}: at the start of the server, TMPDIR or /tmp must be a folder it can write to"
        )
    })
}

fn finish(guard: ProfilerGuard<'static>) -> Result<Vec<u8>, String> {
    let report = guard.report().build_unresolved().map_err(|error| error.to_string())?;
    drop(guard);
    let code = CodeMappings::of_this_process().map_err(|error| error.to_string())?;
    let profile = encoded(&report, code);
    let mut compressed = GzEncoder::new(Vec::new(), Compression::default());
    compressed.write_all(&profile).map_err(|error| error.to_string())?;
    compressed.finish().map_err(|error| error.to_string())
}

fn encoded(report: &UnresolvedReport, code: CodeMappings) -> Vec<u8> {
    let timing = Timing {
        samples_per_second: report.timing.frequency,
        begun: report.timing.start_time,
        nanoseconds: report.timing.duration.as_nanos(),
    };
    let mut profile = ProfileBuilder::new(code, &timing);
    for (stack, count) in &report.data {
        let thread = stack.thread_name.iter().take(stack.thread_name_length).copied().collect();
        let thread = String::from_utf8(thread).unwrap_or_default();
        let addresses = stack.frames.iter().map(|frame| frame.ip);
        // What follows a word that is no code address was not reached by return addresses either.
        let addresses = addresses.take_while(|address| profile.code().contains(*address));
        let addresses: Vec<usize> = addresses.collect();
        for (address, frame) in addresses.iter().zip(&stack.frames) {
            if !profile.knows(*address) {
                let mut single = stack.clone();
                single.frames.clear();
                single.frames.push(frame.clone());
                profile.add_location(*address, pprof::Frames::from(single).frames.concat());
            }
        }
        profile.add_stack(&Stack { thread, addresses, count: *count });
    }
    profile.finish()
}

/// An executable part of a file that is mapped into memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeMapping {
    pub start: usize,
    pub end: usize,
    pub file_offset: u64,
    pub file: String,
}

/// Where the code of this process is in memory, from `/proc/self/maps` (proc_pid_maps(5)).
pub struct CodeMappings(Vec<CodeMapping>);

impl CodeMappings {
    pub fn of_this_process() -> io::Result<Self> {
        std::fs::read_to_string("/proc/self/maps").map(|text| Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(code_mapping).collect())
    }

    pub fn contains(&self, address: usize) -> bool {
        self.position(address).is_some()
    }

    /// The index of the mapping with this address.
    pub fn position(&self, address: usize) -> Option<usize> {
        self.0.iter().position(|mapping| (mapping.start..mapping.end).contains(&address))
    }

    pub fn iter(&self) -> impl Iterator<Item = &CodeMapping> {
        self.0.iter()
    }
}

/// A line such as `55d0c7a00000-55d0c8b00000 r-xp 00100000 fe:00 1234  /usr/local/bin/countersign`; `None` if it is not
/// the code of a file.
fn code_mapping(line: &str) -> Option<CodeMapping> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let permissions = words.next()?;
    let file_offset = u64::from_str_radix(words.next()?, 16).ok()?;
    let file = words.nth(2)?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    let is_code = permissions.contains('x') && file.starts_with('/');
    is_code.then(|| CodeMapping { start, end, file_offset, file: file.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{CodeMapping, CodeMappings, duration};

    #[test]
    fn the_duration_is_from_1_to_60_seconds() {
        let seconds = |query| duration(query).map(|duration| duration.as_secs());
        assert_eq!(seconds(""), Some(30));
        assert_eq!(seconds("debug=1&seconds=5"), Some(5));
        assert_eq!(duration("seconds=60"), Some(Duration::from_mins(1)));
        for query in
            ["seconds=0", "seconds=61", "seconds=-1", "seconds=x", "seconds=", "seconds=1.5"]
        {
            assert_eq!(seconds(query), None, "{query}");
        }
    }

    #[test]
    fn only_executable_parts_of_files_are_code() {
        let maps = "55d0c7900000-55d0c7a00000 r--p 00000000 fe:00 1234    /usr/bin/countersign\n\
                    55d0c7a00000-55d0c8b00000 r-xp 00100000 fe:00 1234    /usr/bin/countersign\n\
                    55d0c9000000-55d0c9100000 rw-p 00000000 00:00 0       [heap]\n\
                    7f0000000000-7f0000001000 rwxp 00000000 00:00 0\n\
                    7fff5d3d4000-7fff5d3d6000 r-xp 00000000 00:00 0       [vdso]\n";
        let code = CodeMappings::parse(maps);
        let expected = CodeMapping {
            start: 0x55d0_c7a0_0000,
            end: 0x55d0_c8b0_0000,
            file_offset: 0x10_0000,
            file: "/usr/bin/countersign".to_owned(),
        };
        assert_eq!(code.iter().cloned().collect::<Vec<_>>(), [expected]);
        assert!(code.contains(0x55d0_c7a0_0000) && !code.contains(0x55d0_c8b0_0000));
        assert!(!code.contains(0x55d0_c900_0008), "the heap");
    }

    #[test]
    fn this_function_is_code_and_a_variable_is_not() {
        let code = CodeMappings::of_this_process().unwrap();
        let on_heap = Box::new(0_u64);
        assert!(code.contains(only_executable_parts_of_files_are_code as fn() as usize));
        assert!(!code.contains(std::ptr::from_ref::<u64>(&on_heap) as usize));
    }
}
