//! Reads the `config` of a `microsoft` connector: Dex's keys, and our own `timeout` and `rootCAs`.

use countersign_config::Section;
use url::Url;

use crate::oauth::{
    Client, ClientSecretRule, CodeFlow, Http, Proof, Registration, Roots, UsedRefreshTokens,
    base_url, below, texts_or,
};

pub(super) struct Config {
    pub code_flow: CodeFlow,
    /// A file with a JWT that replaces the secret; read at each use, because the platform renews it.
    pub assertion_file: Option<String>,
    pub api: Url,
    pub graph: Url,
    pub tenant: String,
    pub only_security_groups: bool,
    /// If not empty, membership in at least one is required.
    pub required_groups: Vec<String>,
    /// Only the required ones are returned.
    pub only_required: bool,
    pub group_names: bool,
    pub lowercase_email: bool,
    pub prompt: Option<String>,
    pub domain_hint: Option<String>,
    pub scopes: Vec<String>,
    pub preferred_username: Option<Field>,
}

/// The source of `preferred_username`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Name,
    Email,
    MailNickname,
    OnPremisesSamAccountName,
}

fn secret_rule(assertion_file: Option<&str>) -> ClientSecretRule {
    match assertion_file {
        Some(_) => ClientSecretRule::Optional,
        None => ClientSecretRule::Required,
    }
}

/// Whether groups are returned by name rather than by id; `None` with a problem recorded.
fn read_group_names(section: &Section<'_>) -> Option<bool> {
    let formats = [("name", true), ("id", false), ("", true)];
    match section.text("groupNameFormat").is_some_and(|text| !text.is_empty()) {
        true => section.choice("groupNameFormat", &formats),
        false => Some(true),
    }
}

/// Every key is read before the first return, so that all problems are reported at once.
pub(super) fn read(section: Section<'_>) -> Option<Config> {
    let configured = |key| section.text(key).filter(|text| !text.is_empty());
    let assertion_file = configured("clientAssertion");
    let registration = Registration::read(&section, secret_rule(assertion_file.as_deref()));
    let api = base_url(&section, "apiURL", "https://login.microsoftonline.com");
    let graph = base_url(&section, "graphURL", "https://graph.microsoft.com");
    let roots = Roots::read_list(&section);
    let tenant = read_tenant(&section);
    let required_groups = section.texts("groups");
    if !required_groups.is_empty() && tenant.as_deref().is_some_and(|tenant| !is_one(tenant)) {
        let reason = "lets everybody in, because groups are read in one tenant only: set tenant";
        section.error("groups", reason);
    }
    section.ignored("batchGroupLookups", "names are always looked up in batches");
    let only_security_groups = section.flag("onlySecurityGroups").unwrap_or(false);
    let only_required = section.flag("useGroupsAsWhitelist").unwrap_or(false);
    let lowercase_email = section.flag("emailToLowercase").unwrap_or(false);
    let group_names = read_group_names(&section);
    let preferred_username = read_field(&section);
    let (prompt, domain_hint) = (configured("promptType"), configured("domainHint"));
    let scopes = texts_or(&section, "scopes", &["user.read"]);
    let http = match (roots, &registration, &api, &graph) {
        (Some(roots), Some(registration), Some(api), Some(graph)) => {
            Http::read(&section, roots, registration.timeout, &[api, graph])
        }
        _ => None,
    };
    section.finish();
    let (api, tenant) = (api?, tenant?);
    let endpoint = |name: &str| below(&api, &format!("{tenant}/oauth2/v2.0/{name}"));
    let (authorize, token) = (endpoint("authorize"), endpoint("token"));
    let (http, registration) = (http?, registration?);
    // Replaced at each use if an assertion file is configured.
    let proof = Proof::Post(registration.client_secret.clone());
    let client = Client { id: registration.client_id.clone(), proof };
    Some(Config {
        code_flow: CodeFlow {
            http,
            registration,
            client,
            authorize,
            token,
            used_refresh_tokens: UsedRefreshTokens::default(),
        },
        assertion_file,
        api,
        graph: graph?,
        tenant,
        only_security_groups,
        required_groups,
        only_required,
        group_names: group_names?,
        lowercase_email,
        prompt,
        domain_hint,
        scopes,
        preferred_username: preferred_username?,
    })
}

/// Whether this is a single tenant, as opposed to one of the three multi-tenant values.
pub(super) fn is_one(tenant: &str) -> bool {
    !matches!(tenant, "common" | "consumers" | "organizations")
}

/// A domain or an id, which becomes part of a path.
fn read_tenant(section: &Section<'_>) -> Option<String> {
    let text = section.text("tenant").filter(|text| !text.is_empty());
    let Some(tenant) = text else { return Some("common".to_owned()) };
    if tenant.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)) {
        return Some(tenant);
    }
    section.error("tenant", format!("found {tenant:?}, expected the id or a domain of a tenant"));
    None
}

#[expect(clippy::option_option, reason = "absent and wrong are two different answers")]
fn read_field(section: &Section<'_>) -> Option<Option<Field>> {
    if !section.has("preferredUsernameField") {
        return Some(None);
    }
    section.choice(
        "preferredUsernameField",
        &[
            ("", None),
            ("name", Some(Field::Name)),
            ("email", Some(Field::Email)),
            ("mailNickname", Some(Field::MailNickname)),
            ("onPremisesSamAccountName", Some(Field::OnPremisesSamAccountName)),
        ],
    )
}
