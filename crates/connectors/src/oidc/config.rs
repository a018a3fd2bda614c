//! Reads the `config` of an `oidc` connector: Dex's keys, and our own `timeout`.

use countersign_config::Section;
use regex::Regex;
use url::Url;

use super::metadata::Overrides;
use super::person::{Mapping, NewGroup, Rules};
use super::provider::{Pkce, ProviderSettings};
use crate::oauth::{ClientSecretRule, Http, Registration, Roots, texts_or, url_of, warn_of_http};

pub(super) struct Config {
    pub provider: ProviderSettings,
    pub http: Http,
    pub scopes: Vec<String>,
    pub acr_values: Vec<String>,
    pub get_user_info: bool,
    /// `prompt` for logins with offline access; `None`: not sent.
    pub prompt: Option<String>,
    pub mapping: Mapping,
}

/// Published files of Dex have such connectors for token exchange.
const WITHOUT_CLIENT_ID: &str = "is missing: tokens are accepted only if they were issued to this client. For token \
    exchange alone it is the audience that the tokens are requested with: without it Dex accepts the tokens of any \
    client";

/// Every key is read before the first return, so that all problems are reported at once.
pub(super) fn read(section: Section<'_>) -> Option<Config> {
    let registration =
        Registration::read_or_explain(&section, ClientSecretRule::Optional, WITHOUT_CLIENT_ID);
    let issuer = read_issuer(&section);
    let alias = configured(&section, "issuerAlias");
    let overrides = read_overrides(&section);
    let basic_auth = section.flag("basicAuthUnsupported").map(|unsupported| !unsupported);
    let pkce = read_pkce(&section);
    let roots = Roots::read(&section);
    if !section.texts("hostedDomains").is_empty() {
        let reason = "is not for this connector, as in Dex: use a connector of type google";
        section.error("hostedDomains", reason);
    }
    let mut scopes = vec!["openid".to_owned()];
    for scope in texts_or(&section, "scopes", &["profile", "email"]) {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    let mapping = read_mapping(&section, scopes.iter().any(|scope| scope == "email"));
    let acr_values = section.texts("acrValues");
    let get_user_info = section.flag("getUserInfo").unwrap_or(false);
    let prompt = section.text("promptType").unwrap_or_else(|| "consent".to_owned());
    let http = match (roots, &registration, &issuer, &overrides) {
        (Some(roots), Some(registration), Some((_, issuer)), Some(overrides)) => {
            let hosts: Vec<&Url> = std::iter::once(issuer).chain(overrides.urls()).collect();
            Http::read(&section, roots, registration.timeout, &hosts)
        }
        _ => None,
    };
    section.finish();
    let (registration, (issuer, issuer_url), overrides) = (registration?, issuer?, overrides?);
    let names = vec![alias.unwrap_or_else(|| issuer.clone())];
    let basic_auth = basic_auth.or_else(|| refuses_basic(&issuer_url).then_some(false));
    Some(Config {
        provider: ProviderSettings {
            issuer,
            names,
            overrides,
            registration,
            basic_auth,
            pkce: pkce?,
            loses_nonce: false,
        },
        http: http?,
        scopes,
        acr_values,
        get_user_info,
        prompt: Some(prompt).filter(|prompt| !prompt.is_empty()),
        mapping: mapping?,
    })
}

/// The issuer as written, and as a URL.
fn read_issuer(section: &Section<'_>) -> Option<(String, Url)> {
    let text = section.required_text("issuer")?;
    let url = url_of(section, "issuer")??;
    if url.query().is_some() || url.fragment().is_some() {
        section.error("issuer", format!("found {text:?}, expected a URL without query"));
        return None;
    }
    warn_of_http(section, "issuer", &url);
    Some((text, url))
}

fn read_overrides(section: &Section<'_>) -> Option<Overrides> {
    let Some(inner) = section.section("providerDiscoveryOverrides") else {
        return (!section.has("providerDiscoveryOverrides")).then(Overrides::default);
    };
    inner.not_supported("deviceAuthURL", false);
    let authorize = url_of(&inner, "authURL");
    let token = url_of(&inner, "tokenURL");
    let keys = url_of(&inner, "jwksURL");
    let userinfo = url_of(&inner, "userInfoURL");
    let end_session = url_of(&inner, "endSessionURL");
    inner.finish();
    Some(Overrides {
        authorize: authorize?,
        token: token?,
        keys: keys?,
        userinfo: userinfo?,
        end_session: end_session?,
    })
}

fn read_pkce(section: &Section<'_>) -> Option<Pkce> {
    let methods = [("", None), ("S256", Some(true)), ("plain", Some(false))];
    if !section.has("pkceChallenge") {
        return Some(Pkce::Announced);
    }
    Some(match section.choice("pkceChallenge", &methods)? {
        None => Pkce::Announced,
        Some(true) => Pkce::Always,
        Some(false) => {
            let reason =
                "plain protects nothing; S256, which every server with PKCE understands, is used";
            section.warning("pkceChallenge", reason);
            Pkce::Always
        }
    })
}

fn read_mapping(section: &Section<'_>, email_scope: bool) -> Option<Mapping> {
    let user_id = configured(section, "userIDKey");
    let user_name = configured(section, "userNameKey");
    let overrides = section.flag("overrideClaimMapping").unwrap_or(false);
    let skip_email_verified = section.flag("insecureSkipEmailVerified").unwrap_or(false);
    let groups_enabled = section.flag("insecureEnableGroups").unwrap_or(false);
    let allowed = section.texts("allowedGroups");
    if !allowed.is_empty() && !groups_enabled {
        let reason =
            "lets everybody in without insecureEnableGroups: true, because no groups are read";
        section.error("allowedGroups", reason);
    }
    let mut mapped = (None, None, None);
    if let Some(inner) = section.section("claimMapping") {
        mapped = (
            configured(&inner, "preferred_username"),
            configured(&inner, "email"),
            configured(&inner, "groups"),
        );
        inner.finish();
    }
    let mut rules = Rules::default();
    if let Some(inner) = section.section("claimModifications") {
        rules = read_modifications(inner)?;
    }
    rules.allowed = allowed;
    let (preferred_username, email, groups) = mapped;
    Some(Mapping {
        user_id: user_id.unwrap_or_else(|| "sub".to_owned()),
        user_name: user_name.unwrap_or_else(|| "name".to_owned()),
        preferred_username,
        email,
        groups,
        overrides,
        email_scope,
        skip_email_verified,
        groups_enabled,
        rules,
    })
}

fn read_modifications(section: Section<'_>) -> Option<Rules> {
    let mut rules = Rules::default();
    let mut sound = true;
    for new in section.sections("newGroupFromClaims") {
        rules.new.push(NewGroup {
            claims: new.texts("claims"),
            delimiter: new.text("delimiter").unwrap_or_default(),
            clear_delimiter: new.flag("clearDelimiter").unwrap_or(false),
            prefix: new.text("prefix").unwrap_or_default(),
        });
        if rules.new.last().is_some_and(|new| new.claims.is_empty()) {
            new.error("claims", "is missing or empty");
            sound = false;
        }
        new.finish();
    }
    if let Some(filter) = section.section("filterGroupClaims") {
        if let Some(text) = configured(&filter, "groupsFilter") {
            match Regex::new(&text) {
                Ok(regex) => rules.filter = Some(regex),
                Err(_) => {
                    filter.error("groupsFilter", "is not a regular expression");
                    sound = false;
                }
            }
        }
        filter.finish();
    }
    if let Some(names) = section.section("modifyGroupNames") {
        rules.prefix = names.text("prefix").unwrap_or_default();
        rules.suffix = names.text("suffix").unwrap_or_default();
        names.finish();
    }
    section.finish();
    sound.then_some(rules)
}

fn configured(section: &Section<'_>, key: &'static str) -> Option<String> {
    section.text(key).filter(|text| !text.is_empty())
}

/// Dex's list of providers that do not accept the secret in a header, whatever their metadata says.
fn refuses_basic(issuer: &Url) -> bool {
    let host = issuer.host_str().unwrap_or_default();
    ["okta.com", "oktapreview.com"]
        .iter()
        .any(|domain| host == *domain || host.ends_with(&format!(".{domain}")))
}
