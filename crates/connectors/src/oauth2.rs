//! `type: oauth`: any OAuth 2.0 provider with a userinfo endpoint, by configured URLs and claim names.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_config::Section;
use countersign_core::{Connector, ConnectorId, Identity, LoginScopes, Secret, Trace};
use serde_json::{Map, Value};
use url::Url;

use crate::oauth::{
    ApiLogin, ApiRequest, Client, ClientSecretRule, CodeFlow, Http, OAuth, Proof, Registration,
    Roots, UpstreamError, UsedRefreshTokens, User, UserApi, url_of, warn_of_http,
};

const USERINFO: &str = "userinfo endpoint";

/// Reads the connector. `None` if the section cannot be used; every problem is recorded in it.
pub(crate) fn read(id: ConnectorId, name: String, section: Section<'_>) -> Option<Connector> {
    let generic = Generic::read(section)?;
    let fingerprint = format!("oauth:{}", generic.userinfo);
    Some(OAuth::connector("oauth", id, name, fingerprint, ApiLogin(generic)))
}

struct Generic {
    code_flow: Arc<CodeFlow>,
    userinfo: Url,
    scopes: Vec<String>,
    names: ClaimNames,
}

/// `userIDKey` and `claimMapping`, with Dex's defaults.
struct ClaimNames {
    user_id: String,
    username: String,
    preferred_username: String,
    groups: String,
    email: String,
    email_verified: String,
}

impl ClaimNames {
    fn read(section: &Section<'_>) -> Self {
        let mapping = section.section("claimMapping");
        let mapped = |key: &'static str, default: &str| {
            let configured = mapping.as_ref().and_then(|mapping| mapping.text(key));
            configured.filter(|text| !text.is_empty()).unwrap_or_else(|| default.to_owned())
        };
        let names = Self {
            user_id: section
                .text("userIDKey")
                .filter(|text| !text.is_empty())
                .unwrap_or_else(|| "id".to_owned()),
            username: mapped("userNameKey", "user_name"),
            preferred_username: mapped("preferredUsernameKey", "preferred_username"),
            groups: mapped("groupsKey", "groups"),
            email: mapped("emailKey", "email"),
            email_verified: mapped("emailVerifiedKey", "email_verified"),
        };
        if let Some(mapping) = mapping {
            mapping.finish();
        }
        names
    }
}

impl Generic {
    fn read(section: Section<'_>) -> Option<Self> {
        let registration = Registration::read(&section, ClientSecretRule::Required);
        let required = |key: &'static str| {
            section.required_text(key)?;
            let url = url_of(&section, key)??;
            warn_of_http(&section, key, &url);
            Some(url)
        };
        let (authorize, token) = (required("authorizationURL"), required("tokenURL"));
        let userinfo = required("userInfoURL");
        let roots = Roots::read(&section);
        let scopes = section.texts("scopes");
        let names = ClaimNames::read(&section);
        let http = match (roots, &registration, &authorize, &token, &userinfo) {
            (Some(roots), Some(registration), Some(authorize), Some(token), Some(userinfo)) => {
                Http::read(&section, roots, registration.timeout, &[authorize, token, userinfo])
            }
            _ => None,
        };
        section.finish();
        let registration = registration?;
        let proof = Proof::Basic(registration.client_secret.clone());
        let client = Client { id: registration.client_id.clone(), proof };
        let code_flow = CodeFlow {
            http: http?,
            registration,
            client,
            authorize: authorize?,
            token: token?,
            used_refresh_tokens: UsedRefreshTokens::default(),
        };
        Some(Self { code_flow: Arc::new(code_flow), userinfo: userinfo?, scopes, names })
    }

    fn identity(&self, claims: &Map<String, Value>) -> Result<Identity, UpstreamError> {
        let names = &self.names;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        let user_id = claims.get(&names.user_id).and_then(user_id).filter(|id| !id.is_empty());
        Ok(Identity {
            user_id: user_id.ok_or_else(|| {
                let name = &names.user_id;
                UpstreamError::Person(format!("the claim {name:?} (userIDKey) is missing"))
            })?,
            username: text(&names.username).to_owned(),
            preferred_username: text(&names.preferred_username).to_owned(),
            email: text(&names.email).to_owned(),
            email_verified: claims.get(&names.email_verified) == Some(&Value::Bool(true)),
            groups: Vec::new(),
        })
    }
}

#[async_trait]
impl UserApi for Generic {
    const NAME: &'static str = "The provider";
    /// As in Dex.
    const CAN_REFRESH: bool = false;

    async fn oauth(&self, _: &mut Trace) -> Result<Arc<CodeFlow>, UpstreamError> {
        Ok(self.code_flow.clone())
    }

    fn used_refresh_tokens(&self) -> &UsedRefreshTokens {
        &self.code_flow.used_refresh_tokens
    }

    fn scopes(&self, _: LoginScopes) -> Vec<String> {
        self.scopes.clone()
    }

    async fn user(
        &self,
        access: &Secret,
        login_scopes: LoginScopes,
        trace: &mut Trace,
    ) -> Result<User, UpstreamError> {
        let request = ApiRequest::get(USERINFO, &self.userinfo).bearer(access);
        let claims = self.code_flow.http.send(request, trace).await?.success()?.object()?;
        let mut identity = self.identity(&claims)?;
        if login_scopes.groups {
            let of_token = token_claims(access).unwrap_or_default();
            for (claims, source) in [(&claims, "userinfo"), (&of_token, "the access token")] {
                for group in groups(claims, &self.names.groups) {
                    if !identity.groups.contains(&group) {
                        trace.included(&group, &format!("named by {source}"));
                        identity.groups.push(group);
                    }
                }
            }
        }
        Ok(User::Identity(Box::new(identity)))
    }
}

/// Group names; entries that are neither a string nor an object with a `name` are omitted.
fn groups(claims: &Map<String, Value>, key: &str) -> Vec<String> {
    let list = claims.get(key).and_then(Value::as_array);
    let name = |group: &Value| {
        let name = group.as_str().or_else(|| group.get("name").and_then(Value::as_str));
        name.map(str::to_owned)
    };
    list.into_iter().flatten().filter_map(name).collect()
}

/// The claims of an access token that is a JWT. Its signature is not verified: it was received from the token endpoint
/// over TLS, which is trusted like userinfo.
fn token_claims(access: &Secret) -> Option<Map<String, Value>> {
    let parts: Vec<&str> = access.expose().split('.').collect();
    let [_, payload, _] = parts.as_slice() else { return None };
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()
}

/// A string unchanged; a number as Go prints a float64 (`%v`), because Dex does, and it is part of `sub`.
fn user_id(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(go_float(number.as_f64()?)),
        _ => None,
    }
}

/// Go's `strconv.FormatFloat(number, 'g', -1, 64)`: the fewest digits, with an exponent below -4 or from 6 on.
fn go_float(number: f64) -> String {
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::go_float;

    /// What `fmt.Sprintf("%v", float64(n))` prints.
    #[test]
    fn numbers_are_spelled_as_go_spells_them() {
        for (number, text) in [
            (0.0, "0"),
            (42.0, "42"),
            (100_000.0, "100000"),
            (999_999.0, "999999"),
            (1_000_000.0, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (12_345_678_901.0, "1.2345678901e+10"),
            (-1_234_567.0, "-1.234567e+06"),
            (1.5, "1.5"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
        ] {
            assert_eq!(go_float(number), text);
        }
    }
}
