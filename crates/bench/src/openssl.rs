//! What OpenSSL alone signs on a core.

use std::process::Command;

use crate::Error;

/// RSA-2048 private-key operations per second, by `openssl speed` on this core.
pub fn signs_per_second(core: usize) -> Result<f64, Error> {
    let output = Command::new("taskset")
        .args(["-c", &core.to_string(), "openssl", "speed", "-seconds", "3", "rsa2048"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    // rsa 2048 bits 0.000254s 0.000008s   3930.2 123456.7
    let line = text
        .lines()
        .rev()
        .find(|line| line.starts_with("rsa 2048") || line.starts_with("rsa  2048"));
    let signs = line.and_then(|line| line.split_whitespace().rev().nth(1));
    signs.and_then(|text| text.parse().ok()).ok_or_else(|| "openssl speed said nothing".into())
}
