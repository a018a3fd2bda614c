//! Collects what a program writes, and finds secrets in it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

/// A file without a name, to which the program writes both its outputs. What it wrote before a response is here when the
/// response is, which a pipe with a reader in this process would not guarantee.
pub struct Log(File);

impl Default for Log {
    fn default() -> Self {
        Self(tempfile::tempfile().unwrap())
    }
}

impl Log {
    /// An output of the program. All outputs share one position in the file.
    pub fn output(&self) -> Stdio {
        self.0.try_clone().unwrap().into()
    }

    /// Everything written so far. Invalid UTF-8 is replaced.
    pub fn text(&self) -> String {
        let mut bytes = vec![0; usize::try_from(self.0.metadata().unwrap().len()).unwrap()];
        self.0.read_exact_at(&mut bytes, 0).unwrap();
        String::from_utf8_lossy(&bytes).trim_end().to_owned()
    }
}

/// Shared by a server and everything that talks to it.
#[derive(Clone, Default)]
pub struct Secrets(Arc<Mutex<Vec<(String, String)>>>);

impl Secrets {
    /// `what` names the value in a failure. Values shorter than 8 bytes are ignored, such as a deleted cookie.
    pub fn remember(&self, what: &str, value: &str) {
        if value.len() < 8 {
            return;
        }
        let mut known = self.0.lock().unwrap();
        known.push((what.to_owned(), value.to_owned()));
        // The signature alone is also recorded: it is what makes a token valid.
        if let Some((_, signature)) = value.rsplit_once('.').filter(|(_, s)| s.len() >= 32) {
            known.push((format!("the signature of {what}"), signature.to_owned()));
        }
    }

    /// Records the secrets of a configuration file. Names of variables are not secrets.
    pub fn remember_those_in_config(&self, yaml: &str) {
        for key in ["secret", "clientSecret", "bindPW", "hash", "rootKey", "token"] {
            let (quoted, named) = (format!("{key}: "), |c: char| c.is_alphanumeric());
            for (at, _) in yaml.match_indices(&quoted) {
                let (before, after) = (&yaml[..at], &yaml[at + quoted.len()..]);
                let after = after.trim_start_matches('[');
                let value = match after.chars().next() {
                    Some(quote @ ('"' | '\'')) => after[1..].split(quote).next(),
                    _ => after.split([',', '}', ']', '\n']).next(),
                };
                let value = value.unwrap_or_default().trim();
                if !before.ends_with(named) && !value.starts_with('$') {
                    self.remember(&format!("the {key} in the configuration"), value);
                }
            }
        }
    }

    /// The names of the recorded values that occur in `text`. Anything that looks like a JWT counts too.
    pub fn found_in(&self, text: &str) -> Vec<String> {
        let known = self.0.lock().unwrap();
        let found = known.iter().filter(|(_, value)| text.contains(value));
        let mut found: Vec<_> = found.map(|(what, _)| what.clone()).collect();
        let of_a_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let words = text.split(|c| !of_a_token(c)).filter(|word| word.len() >= 64);
        let tokens = words.filter(|word| word.starts_with("eyJ") && word.contains(".eyJ"));
        found.extend(tokens.map(|token| format!("a token {token:.12}…")));
        found
    }
}

#[test]
fn a_token_is_found_by_its_signature_alone() {
    let secrets = Secrets::default();
    let signature = "s".repeat(40);
    secrets.remember("the token", &format!("head.body.{signature}"));
    secrets.remember("a deleted cookie", "");
    assert_eq!(secrets.found_in(&format!("… {signature} …")), ["the signature of the token"]);
    assert!(secrets.found_in("nothing here").is_empty());
}

#[test]
fn secrets_of_a_configuration_and_any_jwt_are_found() {
    let secrets = Secrets::default();
    let yaml = "secretEnv: not-a-secret\n- secret: \"the: first\"\n  kubernetes: {webhook: \
                {secret: the-second, groupsClaim: groups}}\n  secret: $THE_THIRD\n";
    secrets.remember_those_in_config(yaml);
    let found = |text: &str| secrets.found_in(text).len();
    assert_eq!([found("the: first"), found("x the-second y"), found("$THE_THIRD")], [1, 1, 0]);
    assert_eq!(found("not-a-secret, groups"), 0);
    let part = "A".repeat(30);
    assert_eq!(found(&format!("\"eyJ{part}.eyJ{part}.{part}\"")), 1);
}
