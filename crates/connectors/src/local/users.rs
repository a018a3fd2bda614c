//! Reads `staticPasswords`.

use std::collections::HashMap;
use std::env;
use std::sync::Arc;

use countersign_config::Section;

use super::canonical;
use crate::password::PasswordHash;

/// One entry of `staticPasswords`.
#[derive(Clone, Debug)]
pub struct LocalUser {
    pub email: String,
    pub hash: Arc<PasswordHash>,
    pub username: String,
    /// Part of `sub`; never empty.
    pub user_id: String,
    /// Takes precedence over `username` for the claim `name`, unless empty.
    pub name: String,
    pub preferred_username: String,
    pub email_verified: bool,
    pub groups: Vec<String>,
}

/// The usable entries. Each problem is recorded at its key, without the hash.
pub fn read_users(sections: Vec<Section<'_>>) -> Vec<LocalUser> {
    let mut users = Vec::new();
    let mut emails = HashMap::new();
    let mut ids = HashMap::new();
    for section in sections {
        let user = read_user(&section);
        if let Some(user) = &user {
            let line = section.mark().line;
            if let Some(first) = emails.insert(canonical(&user.email), line) {
                section.error("email", format!("is the same as that of the user in line {first}"));
            }
            if let Some(first) = ids.insert(user.user_id.clone(), line) {
                let consequence = "both will be one person to every application";
                section.warning("userID", format!("is the same as in line {first}: {consequence}"));
            }
        }
        section.finish();
        users.extend(user);
    }
    users
}

/// Reads every key before it returns, so that all problems are reported at once.
fn read_user(section: &Section<'_>) -> Option<LocalUser> {
    let email = section.required_text("email");
    let hash = read_hash(section);
    let username = section.text("username").unwrap_or_default();
    let user_id = section.text("userID").filter(|id| !id.is_empty());
    if user_id.is_none() && (!section.has("userID") || section.text("userID").is_some()) {
        section.error("userID", NO_USER_ID);
    }
    let name = section.text("name").unwrap_or_default();
    let preferred_username = section.text("preferredUsername").unwrap_or_default();
    let email_verified = section.flag("emailVerified").unwrap_or(true);
    let groups = section.texts("groups");
    Some(LocalUser {
        email: email?,
        hash: Arc::new(hash?),
        username,
        user_id: user_id?,
        name,
        preferred_username,
        email_verified,
        groups,
    })
}

/// Dex accepts such a file.
const NO_USER_ID: &str = "is missing: with Dex all users without one have the same sub, so each of them is the \
     other to every application; give each an id of its own, such as uuidgen prints, and grant again what was \
     granted to that common sub";

#[expect(clippy::disallowed_methods, reason = "hashFromEnv names the variable, as in Dex")]
fn read_hash(section: &Section<'_>) -> Option<PasswordHash> {
    let (key, text) = match (section.text("hash"), section.text("hashFromEnv")) {
        (Some(_), Some(_)) => {
            section.error("hashFromEnv", "cannot be given together with hash");
            return None;
        }
        (Some(text), None) => ("hash", text),
        (None, Some(variable)) => match env::var(&variable) {
            Ok(text) => ("hashFromEnv", text),
            Err(_) => {
                section.error("hashFromEnv", format!("the environment has no {variable}"));
                return None;
            }
        },
        (None, None) => {
            if !section.has("hash") && !section.has("hashFromEnv") {
                section.error("hash", "is missing: give hash or hashFromEnv");
            }
            return None;
        }
    };
    PasswordHash::parse(&text).map_err(|bad| section.error(key, bad.to_string())).ok()
}
