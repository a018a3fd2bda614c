//! The state of a login while the browser is at an upstream, encoded compactly.
//!
//! Most of it is in the `state` parameter, which the upstream returns unchanged (RFC 6749 section 4.1.2); a short rest
//! is in a cookie, without which the `state` cannot be opened. Thus a browser with thirty tabs at an upstream still
//! sends headers of less than 8 KiB. SAML's `RelayState` holds only 80 bytes, so there the cookie holds everything.

use std::io::{Read, Write};

use countersign_core::connector::CallbackState;
use countersign_core::ids::{self, NoRandomness};
use countersign_core::session::{Challenge, ChallengeMethod};
use countersign_core::{
    ClientId, ConnectorId, LoginScopes, ResponseType, Scopes, SessionId, Timestamp,
};
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};
use url::Url;

use super::request::{AccountPage, AuthRequest, Prompt, ResponseMode};
use super::{DeviceLogin, PendingLogin};
use crate::IssuerError;

/// Longest `state` sent to an upstream, in characters; some upstreams store no more.
const MAX_STATE_CHARACTERS: usize = 511;
/// Longest decoded state, which bounds decompression. Only this issuer produces the input.
const MAX_DECODED_BYTES: u64 = 64 * 1024;

pub(super) struct UpstreamLoginState {
    pub pending: PendingLogin,
    pub connector: ConnectorId,
    /// Fingerprint of the connector when the login began, so that a code of one upstream is not sent to another.
    pub fingerprint: Option<String>,
    pub callback_state: CallbackState,
    pub login_scopes: LoginScopes,
}

/// Encoded as arrays, because field names would double the size.
#[derive(Serialize, Deserialize)]
struct Positional(Request, Parameters, Progress, Upstream);

#[derive(Serialize, Deserialize)]
struct Request(String, ClientId, String, u8, ResponseMode, Scopes, Timestamp);

/// `state`, `nonce`, challenge, `prompt`, `max_age`, hint, `login_hint`, `connector_id`, account page, device.
#[derive(Serialize, Deserialize)]
struct Parameters(
    Option<String>,
    Option<String>,
    Option<(ChallengeMethod, String)>,
    u8,
    Option<u64>,
    Option<String>,
    Option<String>,
    Option<ConnectorId>,
    Option<AccountPage>,
    Option<DeviceLogin>,
);

#[derive(Serialize, Deserialize)]
struct Progress(Option<SessionId>, Option<Timestamp>, bool);

#[derive(Serialize, Deserialize)]
struct Upstream(ConnectorId, Option<String>, CallbackState, u8);

impl UpstreamLoginState {
    pub fn encode(self) -> Result<Vec<u8>, IssuerError> {
        let broken = |e: &dyn std::fmt::Display| IssuerError::Broken(e.to_string());
        let plain = serde_json::to_vec(&Positional::from(self)).map_err(|e| broken(&e))?;
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&plain).map_err(|e| broken(&e))?;
        encoder.finish().map_err(|e| broken(&e))
    }

    /// `None` for a state encoded by another version of this program.
    pub fn decode(encoded: &[u8]) -> Option<Self> {
        let mut plain = Vec::new();
        DeflateDecoder::new(encoded).take(MAX_DECODED_BYTES).read_to_end(&mut plain).ok()?;
        let positional: Positional = serde_json::from_slice(&plain).ok()?;
        Some(positional.into())
    }
}

impl From<UpstreamLoginState> for Positional {
    fn from(state: UpstreamLoginState) -> Self {
        let UpstreamLoginState { pending, connector, fingerprint, callback_state, login_scopes } =
            state;
        let PendingLogin { request, session, logged_in, switch } = pending;
        let ResponseType { code, token, id_token } = request.response_type;
        let Prompt { none, login, consent, select_account } = request.prompt;
        let challenge = request.challenge.map(|challenge| (challenge.method, challenge.value));
        let LoginScopes { offline, groups } = login_scopes;
        Self(
            Request(
                request.id,
                request.client,
                request.redirect_uri,
                to_bits([code, token, id_token, false]),
                request.response_mode,
                request.scopes,
                request.expires_at,
            ),
            Parameters(
                request.state,
                request.nonce,
                challenge,
                to_bits([none, login, consent, select_account]),
                request.max_age,
                request.hint,
                request.login_hint,
                request.connector,
                request.account_page,
                request.device,
            ),
            Progress(session, logged_in, switch),
            Upstream(
                connector,
                fingerprint,
                callback_state,
                to_bits([offline, groups, false, false]),
            ),
        )
    }
}

impl From<Positional> for UpstreamLoginState {
    fn from(positional: Positional) -> Self {
        let Positional(request, parameters, progress, upstream) = positional;
        let Request(id, client, redirect_uri, response_type, response_mode, scopes, expires_at) =
            request;
        let Parameters(state, nonce, challenge, prompt, max_age, hint, login_hint, ..) = parameters;
        let (connector, account_page, device) = (parameters.7, parameters.8, parameters.9);
        let [code, token, id_token, _] = from_bits(response_type);
        let [none, login, consent, select_account] = from_bits(prompt);
        let Progress(session, logged_in, switch) = progress;
        let request = AuthRequest {
            id,
            client,
            redirect_uri,
            response_type: ResponseType { code, token, id_token },
            response_mode,
            state,
            scopes,
            nonce,
            challenge: challenge.map(|(method, value)| Challenge { method, value }),
            prompt: Prompt { none, login, consent, select_account },
            max_age,
            hint,
            login_hint,
            connector,
            account_page,
            device,
            expires_at,
        };
        let Upstream(connector, fingerprint, callback_state, login_scopes) = upstream;
        let [offline, groups, ..] = from_bits(login_scopes);
        Self {
            pending: PendingLogin { request, session, logged_in, switch },
            connector,
            fingerprint,
            callback_state,
            login_scopes: LoginScopes { offline, groups },
        }
    }
}

fn to_bits(flags: [bool; 4]) -> u8 {
    flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag))
}

fn from_bits(bits: u8) -> [bool; 4] {
    [0, 1, 2, 3].map(|place| bits >> place & 1 == 1)
}

/// A new identifier of a login at an upstream: 16 characters of base64url, because it is part of a cookie's name.
pub(super) fn new_state_id() -> Result<String, NoRandomness> {
    Ok(ids::random_id()?.chars().take(16).collect())
}

/// The identifier in a `state`: the part before the first dot.
pub fn state_id(state: &str) -> &str {
    state.split_once('.').map_or(state, |(id, _)| id)
}

/// The part of a `state` that [`divide`] added.
pub(super) fn state_rest(state: &str) -> &str {
    state.split_once('.').map_or("", |(_, rest)| rest)
}

/// Appends as much of `sealed` to the `state` of `url` as [`MAX_STATE_CHARACTERS`] allow and returns the rest, which is
/// never empty: it is stored in a cookie, and deleting the cookie makes the `state` unusable. A URL without that
/// `state` is returned unchanged.
pub(super) fn divide(mut url: Url, id: &str, sealed: &str) -> (Url, String) {
    let parameter = format!("state={id}");
    let room = MAX_STATE_CHARACTERS.saturating_sub(id.len() + 1);
    let length = room.min(sealed.len().saturating_sub(1));
    let found = url.query().and_then(|query| query.split_once(&parameter));
    let (Some((before, after)), Some((rest, kept))) = (found, sealed.split_at_checked(length))
    else {
        return (url, sealed.to_owned());
    };
    let query = format!("{before}{parameter}.{rest}{after}");
    url.set_query(Some(&query));
    (url, kept.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(state: Option<String>) -> UpstreamLoginState {
        let token = || ids::random_token().unwrap();
        let request = AuthRequest {
            id: ids::random_id().unwrap(),
            client: ClientId::new("kubernetes"),
            redirect_uri: "https://argocd.example.com/auth/callback".to_owned(),
            response_type: ResponseType::CODE,
            response_mode: ResponseMode::FormPost,
            state,
            scopes: Scopes::parse("openid email profile groups offline_access"),
            nonce: Some(token()),
            challenge: Some(Challenge { method: ChallengeMethod::S256, value: token() }),
            prompt: Prompt { select_account: true, ..Prompt::default() },
            max_age: Some(60),
            hint: None,
            login_hint: Some("alice@example.com".to_owned()),
            connector: None,
            account_page: None,
            device: None,
            expires_at: Timestamp::from_millis(1_764_263_594_123),
        };
        UpstreamLoginState {
            pending: PendingLogin { switch: true, ..PendingLogin::new(request) },
            connector: ConnectorId::new("corp"),
            fingerprint: Some("oidc https://login.example.com".to_owned()),
            callback_state: CallbackState(vec![
                ("nonce".to_owned(), token()),
                ("verifier".to_owned(), token()),
            ]),
            login_scopes: LoginScopes { offline: false, groups: true },
        }
    }

    #[test]
    fn a_login_comes_back_as_it_was() {
        let before = login(Some("a b\"é".to_owned()));
        let (request, callback_state) =
            (before.pending.request.clone(), before.callback_state.clone());
        let after = UpstreamLoginState::decode(&before.encode().unwrap()).unwrap();
        assert_eq!(format!("{:?}", after.pending.request), format!("{request:?}"));
        assert_eq!(after.callback_state.0, callback_state.0);
        assert!(after.pending.switch && after.pending.session.is_none());
        assert_eq!(after.login_scopes, LoginScopes { offline: false, groups: true });
        assert_eq!(after.fingerprint.as_deref(), Some("oidc https://login.example.com"));
        assert!(UpstreamLoginState::decode(b"{\"pending\":1}").is_none());
    }

    /// Regression (issue 9, 6): thirty cookies with the part that does not fit into `state` must stay under 8 KiB.
    #[test]
    fn a_usual_login_takes_less_than_630_characters_once_sealed() {
        let encoded = login(Some(ids::random_token().unwrap())).encode().unwrap();
        let sealed = (encoded.len() + 48) * 4 / 3;
        assert!(sealed < 630, "{sealed}");
    }

    #[test]
    fn bits_keep_their_order() {
        for flags in [[true, false, false, true], [false, true, false, false], [true; 4]] {
            assert_eq!(from_bits(to_bits(flags)), flags);
        }
    }

    #[test]
    fn a_sealed_login_is_divided_between_state_and_cookie() {
        let id = new_state_id().unwrap();
        let url =
            Url::parse(&format!("https://login.example.com/?a=b%20c&state={id}&d=e")).unwrap();
        for length in [2, 400, 494, 495, 496, 2_000] {
            let sealed = "x".repeat(length);
            let (to, kept) = divide(url.clone(), &id, &sealed);
            assert!(to.as_str().starts_with("https://login.example.com/?a=b%20c&state="), "{to}");
            assert!(to.as_str().ends_with("&d=e"), "{to}");
            let pairs: Vec<_> = to.query_pairs().into_owned().collect();
            let state = &pairs[1].1;
            assert!(state.len() < 512 && !kept.is_empty(), "{length}: {}", state.len());
            assert_eq!(state_id(state), id);
            assert_eq!(format!("{}{kept}", state_rest(state)), sealed);
        }
        let form = Url::parse("https://login.example.com/sso").unwrap();
        assert_eq!(divide(form.clone(), &id, "sealed"), (form, "sealed".to_owned()));
    }
}
