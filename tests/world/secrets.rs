//! What must never be seen in a log: every password typed, code received, cookie set and token
//! given during a test is put down here, and searched for when its server ends.

use std::sync::{Arc, Mutex};

/// Shared by a server and everybody who talks to it.
#[derive(Clone, Default)]
pub struct Secrets(Arc<Mutex<Vec<(String, String)>>>);

impl Secrets {
    /// `what` names it in the failure. Short values are ignored: an emptied cookie is no secret.
    pub fn keep(&self, what: &str, value: &str) {
        if value.len() < 8 {
            return;
        }
        let mut known = self.0.lock().unwrap();
        known.push((what.to_owned(), value.to_owned()));
        // A log that shows only the signature of a token still shows what makes it valid.
        if let Some((_, signature)) = value.rsplit_once('.').filter(|(_, s)| s.len() >= 32) {
            known.push((format!("the signature of {what}"), signature.to_owned()));
        }
    }

    /// Those that stand in a configuration file, under whatever key. A name of a variable is none.
    pub fn keep_those_of(&self, yaml: &str) {
        for key in ["secret", "clientSecret", "bindPW", "hash", "rootKey"] {
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
                    self.keep(&format!("the {key} in the configuration"), value);
                }
            }
        }
    }

    /// The names of those that occur in `text`. A JWT is one, whoever gave it to whom.
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
    secrets.keep("the token", &format!("head.body.{signature}"));
    secrets.keep("an emptied cookie", "");
    assert_eq!(secrets.found_in(&format!("… {signature} …")), ["the signature of the token"]);
    assert!(secrets.found_in("nothing here").is_empty());
}

#[test]
fn a_configuration_and_a_token_of_anybody_are_searched_for() {
    let secrets = Secrets::default();
    let yaml = "secretEnv: not-a-secret\n- secret: \"the: first\"\n  kubernetes: {webhook: \
                {secret: the-second, groupsClaim: groups}}\n  secret: $THE_THIRD\n";
    secrets.keep_those_of(yaml);
    let found = |text: &str| secrets.found_in(text).len();
    assert_eq!([found("the: first"), found("x the-second y"), found("$THE_THIRD")], [1, 1, 0]);
    assert_eq!(found("not-a-secret, groups"), 0);
    let part = "A".repeat(30);
    assert_eq!(found(&format!("\"eyJ{part}.eyJ{part}.{part}\"")), 1);
}
