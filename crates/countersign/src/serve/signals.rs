//! What a supervisor or a terminal tells this process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

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

    /// SIGTERM from a supervisor, SIGINT from a terminal.
    pub async fn asked_to_stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Changes with every SIGHUP.
    pub fn hangups(&self) -> watch::Receiver<u32> {
        self.hangups.clone()
    }
}
