//! What all account and administration pages share: the session of the browser, the redirect to a login, the CSRF check
//! of their forms, and the cards that show sessions with their grants. Permissions are decided in `countersign_issuer`.

pub mod home;
pub mod sessions;

use axum::extract::State;
use axum::response::Response;
use countersign_core::{Grant, Secret, Session, Timestamp};
use countersign_issuer::IssuerError;
use countersign_issuer::login::AccountPage;

use crate::app::App;
use crate::form::{Query, once};
use crate::login::authorization::first_step;
use crate::page_error::PageError;
use crate::pages::{Device, DisplayTime, GrantLine, PageErrorKind, SignInCard, SignedInUser};
use crate::request_context::RequestContext;
use crate::response::see_other;

/// `GET /sign-in?to=/…`: begins a login that ends with a redirect to the page `to`.
///
/// With `fresh` a login is required even if the browser is signed in.
pub async fn sign_in(
    State(app): State<App>,
    context: RequestContext,
    Query(pairs): Query,
) -> Result<Response, PageError> {
    let page = once(&pairs, "to").and_then(AccountPage::parse).unwrap_or_else(AccountPage::home);
    let again = pairs.iter().any(|(name, _)| name == "fresh");
    let request = app.issuer.account_page_request(page, again)?;
    Box::pin(first_step(&app, &context, request)).await
}

/// The session of this browser, with groups as fresh as for any client. `None`: the caller redirects with
/// [`sign_in_first`].
pub async fn own_session(
    app: &App,
    context: &RequestContext,
) -> Result<Option<Session>, PageError> {
    Ok(app.issuer.account_page_session(context.session.as_ref()).await?)
}

/// The session for a page that must also work while the upstream is unavailable.
pub struct AccountView {
    pub session: Session,
    /// The upstream did not respond just now, so the identity is the stored one.
    pub stale: bool,
    /// Their login did not request groups.
    pub groups_not_requested: bool,
}

/// Like [`own_session`], but falls back to the stored identity if the upstream is unavailable, and accepts sessions
/// whose login did not request groups.
pub async fn account_view(
    app: &App,
    context: &RequestContext,
) -> Result<Option<AccountView>, PageError> {
    let current = app.issuer.account_page_session(context.session.as_ref()).await;
    let stale = match current {
        Ok(Some(session)) => {
            return Ok(Some(AccountView { session, stale: false, groups_not_requested: false }));
        }
        Ok(None) => false,
        Err(IssuerError::Unavailable { what, cause })
            if what != countersign_issuer::THE_DATABASE =>
        {
            tracing::warn!(upstream = what, cause, "a person sees groups as they were");
            true
        }
        Err(IssuerError::Misconfigured { what, cause, .. }) => {
            tracing::error!(upstream = what, cause, "a person sees groups as they were");
            true
        }
        Err(failure) => return Err(failure.into()),
    };
    let known = if stale {
        app.issuer.browser_session(context.session.as_ref()).await?
    } else {
        live_session(app, context).await?.filter(|session| !session.login_scopes.groups)
    };
    Ok(known.map(|session| {
        let groups_not_requested = !session.login_scopes.groups;
        AccountView { session, stale, groups_not_requested }
    }))
}

/// The session of this browser if it is valid in the database. No request is sent to the upstream; this suffices for
/// ending one's own sessions.
pub async fn live_session(
    app: &App,
    context: &RequestContext,
) -> Result<Option<Session>, PageError> {
    let Some(session) = app.issuer.browser_session(context.session.as_ref()).await? else {
        return Ok(None);
    };
    Ok(app.issuer.is_valid(None, &session).await?.then_some(session))
}

/// Redirects to a login that ends at `to`, a path relative to the issuer with its query.
pub fn sign_in_first(app: &App, to: &str, fresh: bool) -> Response {
    see_other(&sign_in_link(app, to, fresh))
}

/// The URL that [`sign_in_first`] redirects to, for a link.
pub fn sign_in_link(app: &App, to: &str, fresh: bool) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("to", to);
    if fresh {
        query.append_pair("fresh", "1");
    }
    format!("{}?{}", app.path("/sign-in"), query.finish())
}

/// Required before every POST of our own pages: checks that the form was sent from our origin and has the CSRF token of
/// this session.
pub fn check_form(
    app: &App,
    context: &RequestContext,
    pairs: &[(String, String)],
) -> Result<(), PageError> {
    let token = Secret::new(once(pairs, "csrf").unwrap_or_default());
    let expected = app.issuer.form_token(context.session.as_ref());
    if context.session.is_none() || context.is_cross_site() || !token.matches(&expected) {
        return Err(PageErrorKind::FormExpired.into());
    }
    Ok(())
}

pub(crate) fn user(app: &App, session: &Session) -> SignedInUser {
    let person = &session.identity;
    SignedInUser {
        name: person.display_name().into(),
        email: (!person.email.is_empty()).then(|| person.email.as_str().into()),
        connector_name: connector_name(app, session).as_str().into(),
    }
}

pub(crate) fn connector_name(app: &App, session: &Session) -> String {
    let connector = app.issuer.connectors.get(&session.connector);
    connector.map_or_else(|| session.connector.to_string(), |found| found.name.clone())
}

pub fn display_time(app: &App, at: Timestamp) -> DisplayTime {
    DisplayTime::new(at.millis(), app.issuer.now().millis(), app.layout.messages)
}

/// Builds the cards of a user's sessions; `mine` is the session of the requesting browser.
pub struct Cards<'a> {
    app: &'a App,
    mine: &'a Session,
}

impl<'a> Cards<'a> {
    pub fn new(app: &'a App, mine: &'a Session) -> Self {
        Self { app, mine }
    }

    /// A card for each session, with at most `grants` grants.
    pub async fn of(
        &self,
        sessions: impl Iterator<Item = &Session>,
        grants: usize,
    ) -> Result<Vec<SignInCard>, PageError> {
        let mut cards = Vec::new();
        for session in sessions {
            cards.push(self.one(session, 0, grants).await?.0);
        }
        Ok(cards)
    }

    /// The card of one session with the selected grants, and its total number of grants.
    pub async fn one(
        &self,
        session: &Session,
        skip: usize,
        take: usize,
    ) -> Result<(SignInCard, usize), PageError> {
        let live = self.app.issuer.live_grants(&session.id).await?;
        let skip = if skip < live.len() { skip } else { 0 };
        let lines: Vec<GrantLine> =
            live.iter().skip(skip).take(take).map(|grant| self.line(grant)).collect();
        let card = SignInCard {
            id: session.id.to_string(),
            device: Device::of(&session.user_agent),
            address: session.ip.as_str().into(),
            since: display_time(self.app, session.created_at),
            used: display_time(self.app, session.last_seen),
            here: session.id == self.mine.id,
            more_grants: (live.len() - lines.len()) as u64,
            grants: lines,
            href: self.app.path(&format!("/sessions/{}", session.id)),
        };
        Ok((card, live.len()))
    }

    fn line(&self, grant: &Grant) -> GrantLine {
        let client = self.app.issuer.clients.get(&grant.client);
        let name = client.as_ref().map_or(grant.client.as_str(), |client| &client.name);
        GrantLine {
            id: grant.id.to_string(),
            app: name.into(),
            scopes: grant
                .scopes
                .iter()
                .map(|scope| crate::login::next_step::scope_for_display(self.app, scope))
                .collect(),
            since: display_time(self.app, grant.created_at),
            used: display_time(self.app, grant.rotated_at),
            until: self.app.issuer.grant_expires_at(grant).map(|at| display_time(self.app, at)),
            refreshable: grant.refreshable,
        }
    }
}
