//! Reads the `config` of an `authproxy` connector: Dex's keys, and our own `trustedProxies`.

use countersign_config::Section;
use countersign_core::network::Network;

pub(super) struct Config {
    /// Names of header fields in lower case, all different.
    pub user_id: String,
    pub user: String,
    pub user_name: String,
    pub email: String,
    pub group: String,
    pub separator: String,
    /// Groups of every user, appended to those of the header.
    pub static_groups: Vec<String>,
    /// Not empty.
    pub proxies: Vec<Network>,
}

impl Config {
    pub fn names(&self) -> [&str; 5] {
        [&self.user_id, &self.user, &self.user_name, &self.email, &self.group].map(String::as_str)
    }
}

/// Header names with a meaning for this server, for proxies or for HTTP, which the configuration may not use.
const RESERVED: [&str; 21] = [
    "accept",
    "accept-language",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-real-ip",
];

/// Every key is read before the first return, so that all problems are reported at once.
pub(super) fn read(section: Section<'_>) -> Option<Config> {
    let mut seen = Vec::new();
    let user_id = header(&section, "userIDHeader", "X-Remote-User-Id", &mut seen);
    let user = header(&section, "userHeader", "X-Remote-User", &mut seen);
    let user_name = header(&section, "userNameHeader", "X-Remote-User-Name", &mut seen);
    let email = header(&section, "emailHeader", "X-Remote-User-Email", &mut seen);
    let group = header(&section, "groupHeader", "X-Remote-Group", &mut seen);
    let separator = read_separator(&section);
    let static_groups = section.texts("staticGroups");
    let proxies = read_proxies(&section);
    section.finish();
    Some(Config {
        user_id: user_id?,
        user: user?,
        user_name: user_name?,
        email: email?,
        group: group?,
        separator: separator?,
        static_groups,
        proxies: proxies?,
    })
}

fn header(
    section: &Section<'_>,
    key: &'static str,
    default: &str,
    seen: &mut Vec<String>,
) -> Option<String> {
    let configured = section.text(key).filter(|text| !text.is_empty());
    let name = configured.unwrap_or_else(|| default.to_owned()).to_ascii_lowercase();
    // Gateways translate hyphens to underscores, so a name with an underscore is refused.
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        section.error(key, format!("found {name:?}, expected letters, digits and '-'"));
        return None;
    }
    if RESERVED.contains(&name.as_str()) {
        section.error(key, format!("{name} has a meaning of its own, expected another header"));
        return None;
    }
    if seen.contains(&name) {
        section.error(key, format!("{name} is already used for another value"));
        return None;
    }
    seen.push(name.clone());
    Some(name)
}

fn read_separator(section: &Section<'_>) -> Option<String> {
    let text = section.text("groupHeaderSeparator").filter(|text| !text.is_empty());
    let text = text.unwrap_or_else(|| ",".to_owned());
    if text.chars().any(|c| c.is_control() || c == '"') {
        section
            .error("groupHeaderSeparator", format!("found {text:?}, expected such as ',' or ';'"));
        return None;
    }
    Some(text)
}

/// The trusted addresses. Dex has no such key and trusts every peer.
fn read_proxies(section: &Section<'_>) -> Option<Vec<Network>> {
    let items = section.items("trustedProxies");
    if items.is_empty() {
        let reason = "is missing: without it anybody who reaches this server could sign in as anybody; name the addresses from which the proxy connects, such as 10.1.2.3 or 10.1.0.0/24";
        section.error("trustedProxies", reason);
        return None;
    }
    let mut networks = Vec::new();
    let mut sound = true;
    for item in items {
        let Some(text) = item.text() else {
            sound = false;
            continue;
        };
        match Network::parse(&text) {
            Some(_) if text.ends_with("/0") => {
                item.error("trusts the whole world, so anybody could sign in as anybody");
                sound = false;
            }
            Some(network) => networks.push(network),
            None => {
                item.error(format!(
                    "found {text:?}, expected an address or a network such as 10.1.0.0/24"
                ));
                sound = false;
            }
        }
    }
    sound.then_some(networks)
}
