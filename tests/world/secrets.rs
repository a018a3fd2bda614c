//! What must never be seen in a log: every password typed, code received, cookie set and token
//! given during a story is put down here, and searched for when its server ends.

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

    /// The names of those that occur in `text`.
    pub fn found_in(&self, text: &str) -> Vec<String> {
        let known = self.0.lock().unwrap();
        known
            .iter()
            .filter(|(_, value)| text.contains(value))
            .map(|(what, _)| what.clone())
            .collect()
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
