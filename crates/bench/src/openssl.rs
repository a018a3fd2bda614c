//! The rate at which OpenSSL alone signs on a core: the upper bound for an issuer that signs with RSA.

use std::process::Command;

use crate::Error;

/// RSA-2048 private-key operations per second, by `openssl speed` on this core.
pub fn signatures_per_second(core: usize) -> Result<f64, Error> {
    let output = Command::new("taskset")
        .args(["-c", &core.to_string(), "openssl", "speed", "-seconds", "3", "rsa2048"])
        .output()?;
    parse(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| "openssl speed printed no result for rsa2048".into())
}

/// Parses the line `rsa 2048 bits 0.000254s 0.000008s   3930.2 123456.7`, which has more columns in newer versions; the
/// title above it names the column of signatures per second.
fn parse(text: &str) -> Option<f64> {
    let is_result = |line: &&str| {
        let mut words = line.split_whitespace();
        words.next() == Some("rsa") && words.next() == Some("2048")
    };
    let title = text.lines().find(|line| line.contains("sign/s"))?;
    let line = text.lines().rev().find(is_result)?;
    let column = title.split_whitespace().position(|word| word == "sign/s")?;
    let from_the_end = title.split_whitespace().count() - column;
    line.split_whitespace().rev().nth(from_the_end - 1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn both_layouts_of_openssl_are_read() {
        let three = "                  sign    verify    sign/s verify/s\n\
                     rsa 2048 bits 0.000254s 0.000008s   3930.2 123456.7\n";
        assert_eq!(parse(three), Some(3930.2));
        let newer = "                  sign    verify    encrypt   decrypt   sign/s verify/s  encr./s  decr./s\n\
                     rsa  2048 bits 0.000254s 0.000008s 0.000009s 0.000300s   3930.2 123456.7 110000.0 3300.0\n";
        assert_eq!(parse(newer), Some(3930.2));
        assert_eq!(parse("nothing"), None);
    }
}
