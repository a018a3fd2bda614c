//! Grant types and response types, with the names used in requests and in the configuration file.

/// How a client obtains tokens at the token endpoint, or, for `Implicit`, at the authorization endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrantType {
    /// RFC 6749 section 4.1.
    AuthorizationCode,
    /// RFC 6749 section 6.
    RefreshToken,
    /// RFC 6749 section 4.2: tokens in the authorization response.
    Implicit,
    /// RFC 6749 section 4.3.
    Password,
    /// RFC 6749 section 4.4.
    ClientCredentials,
    /// RFC 8628.
    DeviceCode,
    /// RFC 8693.
    TokenExchange,
}

impl GrantType {
    pub const ALL: [Self; 7] = [
        Self::AuthorizationCode,
        Self::RefreshToken,
        Self::Implicit,
        Self::Password,
        Self::ClientCredentials,
        Self::DeviceCode,
        Self::TokenExchange,
    ];

    /// The value of `grant_type`, of `grant_types_supported` and of `oauth2.grantTypes`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::Implicit => "implicit",
            Self::Password => "password",
            Self::ClientCredentials => "client_credentials",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
        }
    }

    /// The grant type with this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant_type| grant_type.as_str() == text)
    }
}

/// The values of `response_type` (OAuth 2.0 Multiple Response Type Encoding Practices), in any order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct ResponseType {
    pub code: bool,
    pub token: bool,
    pub id_token: bool,
}

impl ResponseType {
    pub const CODE: Self = Self { code: true, token: false, id_token: false };

    /// `None` for an empty text, or an unknown or repeated value.
    pub fn parse(text: &str) -> Option<Self> {
        let mut found = Self::default();
        for word in text.split(' ') {
            let flag = match word {
                "code" => &mut found.code,
                "token" => &mut found.token,
                "id_token" => &mut found.id_token,
                _ => return None,
            };
            if std::mem::replace(flag, true) {
                return None;
            }
        }
        (found != Self::default()).then_some(found)
    }

    /// Whether the authorization response itself contains tokens (implicit and hybrid flows).
    pub const fn has_tokens(self) -> bool {
        self.token || self.id_token
    }

    /// Whether every value of `self` is one of `allowed`. Dex checks each value on its own, so that `code`
    /// and `id_token` together allow `code id_token`.
    pub const fn within(self, allowed: Self) -> bool {
        (!self.code || allowed.code)
            && (!self.token || allowed.token)
            && (!self.id_token || allowed.id_token)
    }
}

impl std::fmt::Display for ResponseType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = [(self.code, "code"), (self.id_token, "id_token"), (self.token, "token")];
        let words: Vec<&str> =
            words.into_iter().filter_map(|(set, word)| set.then_some(word)).collect();
        f.write_str(&words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::{GrantType, ResponseType};

    #[test]
    fn every_grant_type_is_parsed_from_its_name() {
        for grant_type in GrantType::ALL {
            assert_eq!(GrantType::parse(grant_type.as_str()), Some(grant_type));
        }
        assert_eq!(GrantType::parse("device_code"), None);
    }

    #[test]
    fn the_order_of_response_types_is_ignored() {
        let hybrid = ResponseType::parse("token code").unwrap();
        assert_eq!(hybrid.to_string(), "code token");
        assert!(hybrid.has_tokens() && !ResponseType::CODE.has_tokens());
        assert!(ResponseType::CODE.within(hybrid) && !hybrid.within(ResponseType::CODE));
        for wrong in ["", " ", "code code", "none", "code,token"] {
            assert_eq!(ResponseType::parse(wrong), None, "{wrong:?}");
        }
    }
}
