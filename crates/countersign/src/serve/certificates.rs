//! A renewed certificate is served without a restart: on SIGHUP, and when its files have changed.

use std::fs;
use std::time::{Duration, SystemTime};

use countersign_server::listen::Certificate;
use tokio::sync::watch;

use crate::config::Https;
use crate::tls;

const LOOK_EVERY: Duration = Duration::from_secs(30);

pub async fn renew(https: Https, certificate: Certificate, mut hangups: watch::Receiver<u32>) {
    let mut served = changed(&https);
    loop {
        let asked = tokio::select! {
            Ok(()) = hangups.changed() => true,
            () = tokio::time::sleep(LOOK_EVERY) => false,
        };
        let found = changed(&https);
        if !asked && found == served {
            continue;
        }
        served = found;
        match tls::server_config(&https) {
            Ok(config) => {
                certificate.replace(config);
                tracing::info!("the certificate was read again");
            }
            // Half written, or wrong: what is served goes on being served.
            Err(why) => {
                tracing::error!(why, "the new certificate cannot be used, the old one stays")
            }
        }
    }
}

/// When the two files were last written.
fn changed(https: &Https) -> [Option<SystemTime>; 2] {
    let modified = |file| fs::metadata(file).and_then(|metadata| metadata.modified()).ok();
    [modified(&https.cert_file), modified(&https.key_file)]
}
