//! The device cookie: proof that this browser has signed in to an account with its password before (OWASP, "Slow Down
//! Online Guessing Attacks with Device Cookies"). It only selects the counter of an attempt; the password is still
//! required.
//!
//! Entries `key~device~mac`, newest first, separated by dots. The MAC covers connector, account and device; the account
//! itself is not in the cookie.

use countersign_core::ids::{self, NoRandomness};
use countersign_jose::MacKeys;

const PURPOSE: &str = "device cookie";
/// Maximum number of accounts in one cookie.
const MAX_ENTRIES: usize = 4;
const MAX_ENTRY_BYTES: usize = 128;

/// The device id of this account's entry, if the cookie has one with a valid MAC.
pub(super) fn device_of(
    cookie: Option<&str>,
    keys: &MacKeys,
    connector: &str,
    account: &str,
) -> Option<String> {
    entries(cookie).find_map(|entry| {
        let mut parts = entry.splitn(3, '~');
        let (key, device, mac) = (parts.next()?, parts.next()?, parts.next()?);
        let message = message(connector, account, device);
        keys.verify(key.parse().ok()?, PURPOSE, &message, mac).then(|| device.to_owned())
    })
}

/// The cookie after a successful login: an entry for this account, followed by the newest of the others.
pub(super) fn after_success(
    cookie: Option<&str>,
    keys: &MacKeys,
    connector: &str,
    account: &str,
) -> Result<String, NoRandomness> {
    let device = ids::random_id()?;
    let (key, mac) = keys.sign(PURPOSE, &message(connector, account, &device));
    let others = entries(cookie)
        .filter(|entry| device_of(Some(entry), keys, connector, account).is_none())
        .map(str::to_owned);
    let entry = format!("{key}~{device}~{mac}");
    let all: Vec<String> = std::iter::once(entry).chain(others).take(MAX_ENTRIES).collect();
    Ok(all.join("."))
}

fn entries(cookie: Option<&str>) -> impl Iterator<Item = &str> {
    let fits = |entry: &&str| !entry.is_empty() && entry.len() <= MAX_ENTRY_BYTES;
    cookie.unwrap_or_default().split('.').filter(fits).take(MAX_ENTRIES)
}

fn message(connector: &str, account: &str, device: &str) -> String {
    format!("{device}\n{connector}\n{account}")
}

#[cfg(test)]
mod tests {
    use super::{MAX_ENTRIES, after_success, device_of};
    use countersign_jose::MacKeys;

    #[test]
    fn a_device_cookie_counts_for_its_own_account_and_keeps_few() {
        let keys = MacKeys::new(vec![(1, MacKeys::generate().unwrap())]).unwrap();
        let mut cookie = None;
        for account in ["a", "b", "c", "d", "jane"] {
            cookie = Some(after_success(cookie.as_deref(), &keys, "local", account).unwrap());
        }
        let cookie = cookie.as_deref();
        assert!(device_of(cookie, &keys, "local", "jane").is_some());
        assert!(device_of(cookie, &keys, "local", "a").is_none(), "the oldest was dropped");
        assert!(device_of(cookie, &keys, "ldap", "jane").is_none(), "another connector");
        assert!(device_of(cookie, &keys, "local", "bob").is_none(), "another account");
        assert_eq!(cookie.unwrap().split('.').count(), MAX_ENTRIES);
        let altered = cookie.unwrap().replace('~', "~A");
        assert!(device_of(Some(&altered), &keys, "local", "jane").is_none());
        let again = after_success(cookie, &keys, "local", "jane").unwrap();
        assert_eq!(again.split('.').count(), MAX_ENTRIES, "an account has one entry");
    }
}
