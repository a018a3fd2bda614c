//! SIGTERM, SIGINT and SIGHUP.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGTERM, from a supervisor.
    Terminate,
    /// SIGINT, from a terminal.
    Interrupt,
}

pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangups: watch::Receiver<u32>,
}

impl Signals {
    /// From here on SIGTERM, SIGINT and SIGHUP no longer end the process by themselves.
    pub fn listen() -> Result<Self, String> {
        let listen = |kind| signal(kind).map_err(|e: io::Error| format!("signals: {e}"));
        let mut hangup = listen(SignalKind::hangup())?;
        let (count, hangups) = watch::channel(0_u32);
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                count.send_modify(|count| *count = count.wrapping_add(1));
            }
        });
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangups,
        })
    }

    /// Waits for SIGTERM or SIGINT.
    pub async fn stop(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.terminate.recv() => StopSignal::Terminate,
            _ = self.interrupt.recv() => StopSignal::Interrupt,
        }
    }

    /// Changes with every SIGHUP.
    pub fn hangups(&self) -> watch::Receiver<u32> {
        self.hangups.clone()
    }
}
