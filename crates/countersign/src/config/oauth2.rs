//! What may be asked of the authorization and token endpoints.

use countersign_config::{Section, did_you_mean};
use countersign_core::GrantType;
use countersign_core::session::ChallengeMethod;

use super::text_items;

#[derive(Clone, Debug)]
pub struct OAuth2 {
    /// Always with [`GrantType::AuthorizationCode`].
    pub grant_types: Vec<GrantType>,
    /// No page asks for consent, except where a request demands it.
    pub skip_approval_screen: bool,
    /// The page with the choice of connectors is shown also where there is only one.
    pub always_show_login_screen: bool,
    pub pkce: Pkce,
    /// An unknown scope is `invalid_scope` instead of being dropped.
    pub strict_scopes: bool,
}

/// RFC 7636.
#[derive(Clone, Debug)]
pub struct Pkce {
    /// Every client must use it.
    pub enforce: bool,
    pub require_for_public_clients: bool,
    /// Never empty.
    pub methods: Vec<ChallengeMethod>,
}

/// Without `oauth2.grantTypes`. The others are risky, or need more configuration than their name.
const DEFAULT_GRANT_TYPES: [GrantType; 3] =
    [GrantType::AuthorizationCode, GrantType::RefreshToken, GrantType::DeviceCode];
const OTHER_GRANT_TYPES: [GrantType; 4] = [
    GrantType::Implicit,
    GrantType::Password,
    GrantType::ClientCredentials,
    GrantType::TokenExchange,
];
/// Dex's beside `code`, in any order of their words.
const OTHER_RESPONSE_TYPES: [&str; 6] =
    ["token", "id_token", "code token", "code id_token", "id_token token", "code id_token token"];

pub fn read(root: &Section<'_>) -> OAuth2 {
    let mut oauth2 = OAuth2 {
        grant_types: DEFAULT_GRANT_TYPES.to_vec(),
        skip_approval_screen: false,
        always_show_login_screen: false,
        pkce: Pkce {
            enforce: false,
            require_for_public_clients: true,
            methods: vec![ChallengeMethod::S256],
        },
        strict_scopes: false,
    };
    let Some(section) = root.section("oauth2") else { return oauth2 };
    read_grant_types(&section, &mut oauth2.grant_types);
    read_response_types(&section);
    oauth2.skip_approval_screen = section.flag("skipApprovalScreen").unwrap_or(false);
    oauth2.always_show_login_screen = section.flag("alwaysShowLoginScreen").unwrap_or(false);
    oauth2.strict_scopes = section.flag("strictScopes").unwrap_or(false);
    section.not_supported("passwordConnector", true);
    if let Some(block) = section.section("pkce") {
        read_pkce(&block, &mut oauth2.pkce);
        block.finish();
    }
    section.finish();
    oauth2
}

fn read_grant_types(section: &Section<'_>, grant_types: &mut Vec<GrantType>) {
    let items = text_items(section, "grantTypes");
    if items.is_empty() {
        return;
    }
    grant_types.clear();
    for (item, text) in &items {
        match GrantType::parse(text) {
            Some(known) if OTHER_GRANT_TYPES.contains(&known) => {
                item.warning(format!("{text} is a grant type of Dex that is not supported yet"))
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
        let why = "does not hold authorization_code, without which nobody can sign in";
        section.error("grantTypes", why);
    }
}

fn read_response_types(section: &Section<'_>) {
    let items = text_items(section, "responseTypes");
    for (item, text) in &items {
        let mut words: Vec<&str> = text.split_whitespace().collect();
        words.sort_unstable();
        let same = |known: &&str| {
            let mut other: Vec<&str> = known.split(' ').collect();
            other.sort_unstable();
            other == words
        };
        if OTHER_RESPONSE_TYPES.iter().any(same) {
            item.warning(format!("{text:?} is a response type of Dex that is not supported yet"));
        } else if words != ["code"] {
            item.error(format!("found {text:?}, which is no response type, expected code"));
        }
    }
    if !items.is_empty() && !items.iter().any(|(_, text)| text.trim() == "code") {
        let why = "does not hold code, the only response type that is supported";
        section.error("responseTypes", why);
    }
}

fn read_pkce(block: &Section<'_>, pkce: &mut Pkce) {
    pkce.enforce = block.flag("enforce").unwrap_or(false);
    pkce.require_for_public_clients = block.flag("requireForPublicClients").unwrap_or(true);
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
