//! Token exchange with Dex's `connector_id`: a program without a browser (a CI job) brings an ID token of an upstream
//! and is signed in as its subject.
//!
//! Stricter than Dex: the ID token must be for our client at that upstream (Dex accepts any audience, so every other
//! application of the upstream could sign in here as its users), and the caller must be a confidential client. Access
//! tokens are refused, because nothing tells whom they were issued to.

use countersign_core::connector::{LoginMethod, LoginOutcome};
use countersign_core::{
    Client, ConnectorId, GrantType, LoginScopes, Scopes, Session, Trace, scopes,
};

use super::token_exchange::{ID_TOKEN, TokenExchangeRequest};
use super::{TokenError, TokenErrorCode};
use crate::Issuer;
use crate::login::AuthenticatedUser;

impl Issuer {
    /// The scopes that the caller may have, and a new session of the person in the subject token.
    pub(super) async fn upstream_subject(
        &self,
        client: &Client,
        request: &TokenExchangeRequest,
        connector: &ConnectorId,
    ) -> Result<(Scopes, Session), TokenError> {
        let invalid = |text: &str| TokenError::refused(TokenErrorCode::InvalidRequest, text);
        if request.subject_token_type != ID_TOKEN {
            return Err(invalid(
                "Of an upstream only ID tokens are exchanged (subject_token_type).",
            ));
        }
        if client.public {
            let text = "Only clients with a secret may exchange tokens of an upstream.";
            return Err(TokenError::refused(TokenErrorCode::UnauthorizedClient, text));
        }
        let requested = request.scope.clone().unwrap_or_else(|| Scopes::parse(scopes::OPENID));
        let granted = self.requested_scopes(&requested, client).map_err(|error| {
            TokenError::refused(TokenErrorCode::InvalidScope, error.description)
        })?;
        // Before a session is created for nothing.
        self.exchanged_scopes(client, request, &granted)?;
        let connector = self.connectors.allowed_for(client, connector, GrantType::TokenExchange);
        let unknown =
            || invalid("The requested connector does not exist or accepts no such tokens.");
        let connector = connector.ok_or_else(unknown)?;
        let LoginMethod::Redirect(method) = &connector.login_method else { return Err(unknown()) };
        let mut trace = Trace::default();
        // Not recorded: a bad token says nothing about the upstream's health.
        let login = method.login_with_id_token(&request.subject_token, self.now(), &mut trace);
        let outcome = self.call_connector_unrecorded(&connector, login).await;
        let refused = |reason: &str| {
            tracing::warn!(event = "login_refused", connector = %connector.id, client = %client.id, reason, address = %request.caller.address, "a token of an upstream was not exchanged");
            invalid(
                "The subject token is invalid, expired, not for this service, or its user may not sign in.",
            )
        };
        let person = match outcome {
            Ok(None) => return Err(unknown()),
            Ok(Some(LoginOutcome::Accepted(person))) => person,
            Ok(Some(LoginOutcome::Refused(refusal))) => {
                return Err(refused(&format!("{refusal:?}")));
            }
            Err(error @ countersign_core::connector::ConnectorError::Unavailable { .. }) => {
                return Err(crate::IssuerError::upstream(&error).into());
            }
            Err(error) => return Err(refused(error.cause())),
        };
        let login_scopes = LoginScopes { offline: false, groups: granted.has(scopes::GROUPS) };
        let user = AuthenticatedUser {
            person: *person,
            login_scopes,
            trace,
            device_cookie: None,
            assertion: None,
        };
        let session = self.create_session(&connector, user, &request.caller).await?;
        let session = session.ok_or_else(|| refused("blocked"))?;
        Ok((granted, session))
    }
}
