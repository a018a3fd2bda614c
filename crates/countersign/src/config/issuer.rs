//! The issuer: `issuer`, its identifier, compared byte for byte (OpenID Connect Discovery 1.0 section 3), and `oauth2`,
//! settings of its authorization and token endpoints.

use countersign_config::{Section, did_you_mean};
use countersign_core::network::is_loopback_url;
use countersign_core::session::ChallengeMethod;
use countersign_core::{ConnectorId, GrantType, ResponseType};
use countersign_issuer::settings::PkcePolicy;
use url::Url;

use super::text_items;

/// An http or https URL without user, query and fragment.
#[derive(Clone, Debug)]
pub struct Issuer {
    text: String,
    url: Url,
}

impl Issuer {
    /// As written in the file: the value of `iss`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is plain http to another machine, so that passwords and codes could be intercepted.
    pub fn is_exposed(&self) -> bool {
        self.url.scheme() == "http" && !is_loopback_url(&self.url)
    }
}

pub fn read(root: &Section<'_>) -> Option<Issuer> {
    let text = root.required_text("issuer")?;
    let url = match parse(&text) {
        Ok(url) => url,
        Err(reason) => {
            root.error("issuer", format!("found {text:?}, {reason}"));
            return None;
        }
    };
    let issuer = Issuer { text, url };
    if issuer.is_exposed() {
        root.warning(
            "issuer",
            "is http beyond this machine: expected https, or passwords travel in clear",
        );
    }
    if issuer.text.ends_with('/') {
        let reason = "ends with a slash, which every application must then write as well";
        root.warning("issuer", reason);
    } else if issuer.url.as_str().trim_end_matches('/') != issuer.text {
        let usual = issuer.url.as_str().trim_end_matches('/');
        root.warning("issuer", format!("is not written as most programs write it: {usual}"));
    }
    Some(issuer)
}

fn parse(text: &str) -> Result<Url, &'static str> {
    let expected = "expected a URL such as https://login.example.com/dex";
    if !text.bytes().all(|b| b.is_ascii_graphic()) || text.contains('\\') {
        return Err(expected);
    }
    let url = Url::parse(text).map_err(|_| expected)?;
    let http = text.starts_with("http://") || text.starts_with("https://");
    if !http || url.host().is_none() {
        return Err(expected);
    }
    if text.contains('?') || text.contains('#') {
        return Err("expected no query and no fragment");
    }
    if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
        return Err("expected no user in it");
    }
    // The path becomes the prefix of routes and the path of cookies.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    let path_as_written = text.splitn(4, '/').nth(3).unwrap_or("");
    if !path_as_written.chars().all(plain)
        || path_as_written.starts_with('/')
        || path_as_written.contains("//")
        || path_as_written.split('/').any(|part| part == "." || part == "..")
    {
        return Err("expected a path of letters, digits, '-', '.', '_' and '~'");
    }
    Ok(url)
}

#[derive(Clone, Debug)]
pub struct OAuth2 {
    /// Always contains [`GrantType::AuthorizationCode`].
    pub grant_types: Vec<GrantType>,
    /// The supported values of a response type.
    pub response_types: ResponseType,
    /// The connector that the password grant uses.
    pub password_connector: Option<ConnectorId>,
    /// Whether the approval page is skipped, unless a request requires it.
    pub skip_approval_screen: bool,
    /// Whether the selection page is shown even for a single connector.
    pub always_show_login_screen: bool,
    pub pkce: PkcePolicy,
    /// Whether an unknown scope is refused with `invalid_scope` instead of being ignored.
    pub strict_scopes: bool,
}

/// The default of `oauth2.grantTypes`. The others are risky or need further configuration.
const DEFAULT_GRANT_TYPES: [GrantType; 3] =
    [GrantType::AuthorizationCode, GrantType::RefreshToken, GrantType::DeviceCode];

/// `connectors` are the ids of all connectors.
pub fn read_oauth2(root: &Section<'_>, connectors: &[String]) -> OAuth2 {
    let mut oauth2 = OAuth2 {
        grant_types: DEFAULT_GRANT_TYPES.to_vec(),
        response_types: ResponseType::CODE,
        password_connector: None,
        skip_approval_screen: false,
        always_show_login_screen: false,
        pkce: PkcePolicy {
            enforce: false,
            required_for_public_clients: true,
            methods: vec![ChallengeMethod::S256],
        },
        strict_scopes: false,
    };
    let Some(section) = root.section("oauth2") else { return oauth2 };
    read_response_types(&section, &mut oauth2.response_types);
    oauth2.password_connector = read_password_connector(&section, connectors);
    read_grant_types(&section, &mut oauth2);
    oauth2.skip_approval_screen = section.flag("skipApprovalScreen").unwrap_or(false);
    oauth2.always_show_login_screen = section.flag("alwaysShowLoginScreen").unwrap_or(false);
    oauth2.strict_scopes = section.flag("strictScopes").unwrap_or(false);
    if let Some(block) = section.section("pkce") {
        read_pkce(&block, &mut oauth2.pkce);
        block.finish();
    }
    section.finish();
    oauth2
}

/// As in Dex, `responseTypes` and `passwordConnector` enable their grant types, unless `grantTypes` is configured
/// without `password`.
fn read_grant_types(section: &Section<'_>, oauth2: &mut OAuth2) {
    let items = text_items(section, "grantTypes");
    let has_tokens = oauth2.response_types.has_tokens();
    let grant_types = &mut oauth2.grant_types;
    if !items.is_empty() {
        grant_types.clear();
    }
    for (item, text) in &items {
        match GrantType::parse(text) {
            Some(GrantType::Password) if oauth2.password_connector.is_none() => {
                item.warning("has no effect without oauth2.passwordConnector");
            }
            Some(GrantType::Implicit) if !has_tokens => {
                item.warning("has no effect without token or id_token in oauth2.responseTypes");
            }
            Some(known) => grant_types.push(known),
            None => {
                let known = GrantType::ALL.into_iter().map(GrantType::as_str);
                let near = did_you_mean(text, known);
                item.error(format!("found {text:?}, which is no grant type{near}"));
            }
        }
    }
    if !grant_types.contains(&GrantType::AuthorizationCode) {
        let reason = "does not hold authorization_code, without which nobody can sign in";
        section.error("grantTypes", reason);
    }
    if items.is_empty() && oauth2.password_connector.is_some() {
        grant_types.push(GrantType::Password);
    }
    if has_tokens && !grant_types.contains(&GrantType::Implicit) {
        grant_types.push(GrantType::Implicit);
    }
}

fn read_password_connector(section: &Section<'_>, connectors: &[String]) -> Option<ConnectorId> {
    let id = section.text("passwordConnector").filter(|id| !id.is_empty())?;
    if !connectors.contains(&id) {
        let near = did_you_mean(&id, connectors.iter().map(String::as_str));
        section.error("passwordConnector", format!("{id:?} is no connector in this file{near}"));
        return None;
    }
    let reason = "reveals users' passwords to applications (RFC 9700 section 2.4)";
    section.warning("passwordConnector", reason);
    Some(ConnectorId::new(id))
}

fn read_response_types(section: &Section<'_>, response_types: &mut ResponseType) {
    let items = text_items(section, "responseTypes");
    if !items.is_empty() {
        *response_types = ResponseType::default();
    }
    for (item, text) in &items {
        let Some(found) = ResponseType::parse(text) else {
            let words = "words of code, token and id_token";
            item.error(format!("found {text:?}, which is no response type, expected {words}"));
            continue;
        };
        if found.has_tokens() {
            item.warning("puts tokens into addresses of browsers (RFC 9700 section 2.1.2)");
        }
        response_types.code |= found.code;
        response_types.token |= found.token;
        response_types.id_token |= found.id_token;
    }
}

fn read_pkce(block: &Section<'_>, pkce: &mut PkcePolicy) {
    pkce.enforce = block.flag("enforce").unwrap_or(false);
    pkce.required_for_public_clients = block.flag("requireForPublicClients").unwrap_or(true);
    let items = text_items(block, "codeChallengeMethodsSupported");
    if items.is_empty() {
        return;
    }
    pkce.methods.clear();
    for (item, text) in &items {
        match text.as_str() {
            "S256" => pkce.methods.push(ChallengeMethod::S256),
            "plain" => {
                pkce.methods.push(ChallengeMethod::Plain);
                item.warning(
                    "plain protects nothing that is read on the way (RFC 9700 section 2.1.1)",
                );
            }
            _ => item.error(format!("found {text:?}, expected S256 or plain")),
        }
    }
}
