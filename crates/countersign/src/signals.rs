//! SIGTERM, SIGINT and SIGHUP, and the time between the first two and the closing of the listeners.

use std::io;
use std::time::Duration;

use countersign_server::ProcessState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGTERM, from a supervisor.
    Terminate,
    /// SIGINT, or the closing of the terminal.
    Interrupt,
}

pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    terminal_lost: watch::Receiver<bool>,
    hangups: watch::Receiver<u32>,
}

impl Signals {
    /// From now on SIGTERM, SIGINT and SIGHUP no longer kill the process.
    pub fn listen() -> Result<Self, String> {
        let listen = |kind| signal(kind).map_err(|e: io::Error| format!("signals: {e}"));
        let (count, hangups) = watch::channel(0_u32);
        let (lost, terminal_lost) = watch::channel(false);
        // A process started with nohup ignores the signal.
        if !is_hangup_ignored() {
            let hangup = listen(SignalKind::hangup())?;
            tokio::spawn(follow_hangups(hangup, has_terminal(), count, lost));
        }
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            terminal_lost,
            hangups,
        })
    }

    /// Waits for SIGTERM, SIGINT, or the closing of the terminal in which this process was started.
    pub async fn stop(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.terminate.recv() => StopSignal::Terminate,
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            Ok(_) = self.terminal_lost.wait_for(|lost| *lost) => StopSignal::Interrupt,
        }
    }

    /// Changes with every SIGHUP.
    pub fn hangups(&self) -> watch::Receiver<u32> {
        self.hangups.clone()
    }
}

/// Reports not ready, but continues to accept connections for the time load balancers need to notice. Meanwhile
/// responses close their HTTP/1.1 connections. After an interrupt at a terminal there is no delay; a second signal ends
/// the delay.
pub async fn drain(
    signal: StopSignal,
    delay: Duration,
    process: &ProcessState,
    signals: &mut Signals,
) {
    process.drain();
    if signal == StopSignal::Terminate && !delay.is_zero() {
        tracing::info!(
            delay_seconds = delay.as_secs_f64(),
            "stopping: not ready, still accepting connections"
        );
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = signals.stop() => {}
        }
    }
    tracing::info!("stopping: no new connections, finishing the requests in flight");
}

/// SIGHUP has two meanings: the terminal was closed and its programs should exit, or a service should reload its
/// configuration. It is the first if this process had a controlling terminal and has none now.
async fn follow_hangups(
    mut hangup: Signal,
    had_terminal: bool,
    count: watch::Sender<u32>,
    lost: watch::Sender<bool>,
) {
    while hangup.recv().await.is_some() {
        if had_terminal && !has_terminal() {
            lost.send_replace(true);
            return;
        }
        count.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// `/dev/tty` is the controlling terminal; it cannot be opened without one.
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// From the mask of ignored signals in /proc (proc(5)); signal 1 is the lowest bit.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}
