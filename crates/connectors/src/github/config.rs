//! Reads the `config` of a `github` connector: Dex's keys, and `apiURLs` for servers whose API is not at the usual
//! path.

use countersign_config::Section;
use url::Url;

use super::api::is_login;
use super::groups::{Org, Reach, Rules, TeamNames};
use super::person::Addresses;
use crate::oauth::{ClientSecretRule, Http, Registration, Roots, base_url};

const GITHUB: &str = "github.com";

pub(super) struct Config {
    pub registration: Registration,
    pub http: Http,
    /// Base URL of login page and token endpoint, without a trailing slash.
    pub web: Url,
    /// Base URL of the REST API, without a trailing slash.
    pub api: Url,
    pub rules: Rules,
    pub addresses: Addresses,
    pub login_as_id: bool,
}

struct Place {
    web: Url,
    api: Url,
    is_enterprise_server: bool,
}

/// Every key is read before the first return, so that all problems are reported at once.
pub(super) fn read(section: Section<'_>) -> Option<Config> {
    let registration = Registration::read(&section, ClientSecretRule::Required);
    let roots = Roots::read_file(&section);
    let place = read_place(&section);
    let rules = read_rules(&section);
    let login_as_id = section.flag("useLoginAsID").unwrap_or(false);
    let preferred_domain = read_domain(&section);
    let http = match (roots, &registration, &place) {
        (Some(roots), Some(registration), Some(place)) => {
            Http::read(&section, roots, registration.timeout, &[&place.web, &place.api])
        }
        _ => None,
    };
    section.finish();
    let Place { web, api, is_enterprise_server } = place?;
    Some(Config {
        registration: registration?,
        http: http?,
        web,
        api,
        rules: rules?,
        addresses: Addresses { may_be_unverified: is_enterprise_server, preferred_domain },
        login_as_id,
    })
}

/// `None` with problems recorded.
fn read_place(section: &Section<'_>) -> Option<Place> {
    let host = read_host(section);
    let urls = section.section("apiURLs");
    if urls.is_none() && section.has("apiURLs") {
        return None;
    }
    let host = host?;
    let is_hosted = host == GITHUB || host.ends_with(".ghe.com");
    let (web, api) = match is_hosted {
        true => (format!("https://{host}"), format!("https://api.{host}")),
        false => (format!("https://{host}"), format!("https://{host}/api/v3")),
    };
    let or = |key: &'static str, default: &str| match &urls {
        Some(urls) => base_url(urls, key, default),
        None => Url::parse(default).ok(),
    };
    let (web, api) = (or("web", &web), or("api", &api));
    if let Some(urls) = urls {
        urls.finish();
    }
    Some(Place { web: web?, api: api?, is_enterprise_server: !is_hosted })
}

/// A host name, as in Dex, optionally with a port.
fn read_host(section: &Section<'_>) -> Option<String> {
    let Some(host) = section.text("hostName").filter(|host| !host.is_empty()) else {
        return Some(GITHUB.to_owned());
    };
    let host = host.to_ascii_lowercase();
    let is_bare = !host.contains(['/', '@', '?', '#', '\\'])
        && Url::parse(&format!("https://{host}")).is_ok_and(|url| url.has_host());
    if !is_bare {
        let reason = format!("found {host:?}, expected a host such as github.example.com");
        section.error("hostName", reason);
        return None;
    }
    Some(host)
}

fn read_rules(section: &Section<'_>) -> Option<Rules> {
    let words = [
        ("", TeamNames::Name),
        ("name", TeamNames::Name),
        ("slug", TeamNames::Slug),
        ("both", TeamNames::Both),
    ];
    let names = match section.has("teamNameField") {
        true => section.choice("teamNameField", &words),
        false => Some(TeamNames::Name),
    };
    let all = section.flag("loadAllGroups").unwrap_or(false);
    let legacy = section.text("org").filter(|org| !org.is_empty());
    let orgs = read_orgs(section);
    if all && (legacy.is_some() || section.has("orgs")) {
        section.warning("loadAllGroups", "does nothing beside org and orgs, as in Dex");
    }
    let reach = match (orgs, legacy) {
        (Some(orgs), Some(_)) if !orgs.is_empty() => {
            section.error("org", "is the older form of orgs and cannot be used together with it");
            None
        }
        (Some(orgs), _) if !orgs.is_empty() => Some(Reach::Orgs(orgs)),
        (_, Some(org)) => {
            let reason =
                "lets everybody in, whatever organization they are in, as in Dex: use orgs";
            section.warning("org", reason);
            Some(Reach::Legacy(org))
        }
        (Some(_), None) if all => Some(Reach::All),
        (Some(_), None) => Some(Reach::Nobodys),
        (None, None) => None,
    };
    Some(Rules { reach: reach?, names: names? })
}

/// `None` with problems recorded; empty when absent.
fn read_orgs(section: &Section<'_>) -> Option<Vec<Org>> {
    let items = section.items("orgs");
    let mut orgs = Vec::new();
    for item in &items {
        let Some(entry) = item.section() else { continue };
        let name = entry.required_text("name");
        let teams = entry.texts("teams");
        if let Some(name) = name {
            match is_login(&name) {
                true => orgs.push(Org { name, teams }),
                false => {
                    let reason = format!("found {name:?}, expected it as in github.com/NAME");
                    entry.error("name", reason);
                }
            }
        }
        entry.finish();
    }
    (orgs.len() == items.len()).then_some(orgs)
}

fn read_domain(section: &Section<'_>) -> Option<String> {
    let domain = section.text("preferredEmailDomain").filter(|domain| !domain.is_empty())?;
    if domain.contains(['@', ' ']) || domain.split('.').any(str::is_empty) {
        let reason =
            format!("found {domain:?}, expected a domain such as example.com or *.example.com");
        section.error("preferredEmailDomain", reason);
    }
    Some(domain)
}
