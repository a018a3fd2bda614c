//! The operations that can be measured.

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    /// GET /.well-known/openid-configuration
    Discovery,
    /// GET the JWKS
    Keys,
    /// GET the authorization endpoint without a cookie
    Auth,
    /// A whole login with a new browser, up to the tokens
    Login,
    /// A refresh token is exchanged for the next
    Refresh,
    /// GET userinfo with an access token
    Userinfo,
    /// POST an access token to the introspection endpoint
    Introspection,
}

impl Operation {
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub fn needs_tokens(self) -> bool {
        matches!(self, Self::Refresh | Self::Userinfo | Self::Introspection)
    }

    /// Signatures that the server creates for one operation: an ID token and an access token.
    pub fn signatures(self) -> Option<u32> {
        matches!(self, Self::Login | Self::Refresh).then_some(2)
    }
}
