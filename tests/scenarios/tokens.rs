//! The token endpoint and the tokens: codes, grants, claims, keys, lifetimes.

pub mod access_token_keys;
pub mod authorization_codes;
pub mod change_to_vault;
pub mod client_authentication;
pub mod client_lifetimes;
pub mod exchanged_tokens;
pub mod large_tokens;
pub mod lifetimes;
pub mod other_grants;
pub mod pkce;
pub mod refresh_tokens;
pub mod revocation_and_introspection;
pub mod scopes_and_claims;
pub mod signing_keys;
pub mod signing_order;
pub mod third_party_clients;
pub mod token_requests;
pub mod upstream_token_exchange;
pub mod vault_signer;
pub mod vault_signer_unavailable;
