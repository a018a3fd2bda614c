//! Reads the `config` of a `google` connector: Dex's keys, and our own for reading groups without a
//! super-administrator.

use std::collections::BTreeMap;

use countersign_config::{Section, Value};
use url::Url;

use super::credentials::Credentials;
use crate::oauth::{ClientSecretRule, Http, Registration, Roots, base_url, texts_or, url_of};
use crate::oidc::metadata::Overrides;
use crate::oidc::provider::{Pkce, ProviderSettings};

const ISSUER: &str = "https://accounts.google.com";
const METADATA: &str = "http://metadata.google.internal";
/// Key of `domainToAdminEmail` for all domains not listed.
pub(super) const ANY_DOMAIN: &str = "*";

pub(super) struct Config {
    pub provider: ProviderSettings,
    pub http: Http,
    pub scopes: Vec<String>,
    pub hosted_domains: Vec<String>,
    /// If not empty, membership in at least one is required, and only these are returned.
    pub groups: Vec<String>,
    pub prompt: Option<String>,
    pub source: Option<Source>,
    pub transitive: bool,
    pub apis: Apis,
}

/// The API that groups are read from.
pub(super) enum Source {
    /// The Admin Directory API, impersonating an administrator of each domain.
    Directory { credentials: Credentials, admins: BTreeMap<String, String> },
    /// The Cloud Identity API, as the service account itself.
    CloudIdentity { credentials: Credentials },
}

/// Base URLs, without a trailing slash.
pub(super) struct Apis {
    pub directory: Url,
    pub cloud_identity: Url,
    pub iam_credentials: Url,
    /// Token endpoint for assertions; key files contain their own.
    pub tokens: Url,
    pub metadata: Url,
}

/// Every key is read before the first return, so that all problems are reported at once.
pub(super) fn read(section: Section<'_>) -> Option<Config> {
    let registration = Registration::read(&section, ClientSecretRule::Required);
    let roots = Roots::read_list(&section);
    let mut scopes = vec!["openid".to_owned()];
    for scope in texts_or(&section, "scopes", &["profile", "email"]) {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    let hosted_domains = section.texts("hostedDomains");
    let groups = section.texts("groups");
    let prompt = section.text("promptType").unwrap_or_else(|| "consent".to_owned());
    let transitive = section.flag("fetchTransitiveGroupMembership").unwrap_or(false);
    let source = read_source(&section);
    if !groups.is_empty() && matches!(source, Some(None)) {
        let reason =
            "lets everybody in, because no groups are read: set groupsSource or domainToAdminEmail";
        section.error("groups", reason);
    }
    let apis = read_apis(&section);
    let http = match (roots, &registration, &apis) {
        (Some(roots), Some(registration), Some((apis, issuer))) => {
            let hosts = [
                issuer,
                &apis.directory,
                &apis.cloud_identity,
                &apis.iam_credentials,
                &apis.metadata,
            ];
            Http::read(&section, roots, registration.timeout, &hosts)
        }
        _ => None,
    };
    section.finish();
    let (apis, issuer) = apis?;
    let issuer = issuer.as_str().trim_end_matches('/').to_owned();
    let mut names = vec![issuer.clone()];
    if issuer == ISSUER {
        // Google's ID tokens contain the issuer with or without the scheme.
        names.push("accounts.google.com".to_owned());
    }
    Some(Config {
        provider: ProviderSettings {
            issuer,
            names,
            overrides: Overrides::default(),
            registration: registration?,
            basic_auth: None,
            pkce: Pkce::Announced,
            loses_nonce: false,
        },
        http: http?,
        scopes,
        hosted_domains,
        groups,
        prompt: Some(prompt).filter(|prompt| !prompt.is_empty()),
        source: source?,
        transitive,
        apis,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Directory,
    CloudIdentity,
}

/// `Some(None)`: no groups are read.
#[expect(clippy::option_option, reason = "absent and wrong are two different answers")]
fn read_source(section: &Section<'_>) -> Option<Option<Source>> {
    let words = [("directory", Kind::Directory), ("cloudidentity", Kind::CloudIdentity)];
    let named = section
        .text("groupsSource")
        .is_some_and(|text| !text.is_empty())
        .then(|| section.choice("groupsSource", &words));
    let path = section.text("serviceAccountFilePath").filter(|path| !path.is_empty());
    let admins = read_admins(section);
    let kind = match named {
        Some(kind) => Some(kind?),
        None if admins.is_empty() && path.is_none() => None,
        None => Some(Kind::Directory),
    };
    let Some(kind) = kind else { return Some(None) };
    let credentials = Credentials::read(path.as_deref(), section.files())
        .map_err(|reason| section.error("serviceAccountFilePath", reason))
        .ok();
    match kind {
        Kind::Directory if admins.is_empty() => {
            let reason = "is missing: the directory answers only in the name of an administrator (groupsSource: cloudidentity needs none)";
            section.error("domainToAdminEmail", reason);
            None
        }
        Kind::Directory => Some(Some(Source::Directory { credentials: credentials?, admins })),
        Kind::CloudIdentity => {
            if !admins.is_empty() {
                section
                    .warning("domainToAdminEmail", "does nothing with groupsSource: cloudidentity");
            }
            Some(Some(Source::CloudIdentity { credentials: credentials? }))
        }
    }
}

/// `domainToAdminEmail`, with `adminEmail` as the entry `*`. Domains are in lower case.
fn read_admins(section: &Section<'_>) -> BTreeMap<String, String> {
    let mut admins = BTreeMap::new();
    if let Some(admin) = section.text("adminEmail").filter(|admin| !admin.is_empty()) {
        section
            .warning("adminEmail", "is deprecated, as in Dex: use domainToAdminEmail with \"*\"");
        admins.insert(ANY_DOMAIN.to_owned(), admin);
    }
    let Some(item) = section.item("domainToAdminEmail") else { return admins };
    let Some(map) = item.section() else { return admins };
    for (key, node) in map.entries() {
        let Value::Scalar { text, .. } = &node.value else {
            map.error(&key.text, "is not the e-mail address of an administrator");
            continue;
        };
        if text.is_empty() || !text.contains('@') {
            map.error(
                &key.text,
                format!("found {text:?}, expected the address of an administrator"),
            );
        }
        admins.insert(key.text.to_lowercase(), text.clone());
    }
    map.finish_open();
    admins
}

/// Base URLs of the APIs, and the issuer. `None` with problems recorded.
fn read_apis(section: &Section<'_>) -> Option<(Apis, Url)> {
    let urls = section.section("apiURLs");
    if urls.is_none() && section.has("apiURLs") {
        return None;
    }
    let or = |key: &'static str, default: &str| match &urls {
        Some(urls) => base_url(urls, key, default),
        None => Url::parse(default).ok(),
    };
    let issuer = or("issuer", ISSUER);
    let directory = or("directory", "https://admin.googleapis.com");
    let cloud_identity = or("cloudIdentity", "https://cloudidentity.googleapis.com");
    let iam_credentials = or("iamCredentials", "https://iamcredentials.googleapis.com");
    let tokens = or("token", "https://oauth2.googleapis.com/token");
    // The metadata server is reached by plain HTTP within the host, so the default causes no warning.
    let metadata = match &urls {
        Some(urls) => url_of(urls, "metadata"),
        None => Some(None),
    };
    let metadata = metadata.and_then(|url| url.or_else(|| Url::parse(METADATA).ok()));
    if let Some(urls) = urls {
        urls.finish();
    }
    let apis = Apis {
        directory: directory?,
        cloud_identity: cloud_identity?,
        iam_credentials: iam_credentials?,
        tokens: tokens?,
        metadata: metadata?,
    };
    Some((apis, issuer?))
}
