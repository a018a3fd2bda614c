//! Administration, one file or folder per resource, each with its page (`/admin/…`), its API handlers (`/api/v1/…`) and
//! the view structs of its templates: [`sessions`], [`clients`], [`configuration`], [`connectors`], [`keys`],
//! [`events`], [`memberships`], [`explain`], [`blocked_users`].
//!
//! Pages take [`AdminSession`] (a signed-in browser); a change is a POST with a CSRF token and a recent sign-in. The API
//! takes [`AdminToken`] (an access token) and ignores cookies, so other web sites cannot use a browser's session for it
//! (CSRF). Both check for every request whether the user or client is an administrator. API errors are problem details
//! (RFC 9457). Permissions are decided in `issuer::admin`.

pub mod api;
pub mod blocked_users;
pub mod clients;
pub mod configuration;
pub mod connectors;
pub mod events;
pub mod explain;
pub mod filters;
pub mod frame;
pub mod keys;
pub mod memberships;
pub mod sessions;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use countersign_core::Session;
use countersign_issuer::admin::{AdminTokenError, Administrator, FRESH_SIGN_IN};
use countersign_issuer::login::AccountPage;

use self::api::ProblemDetails;
use self::filters::path_with_query;
use self::frame::{Frame, Section};
use crate::account::{check_form, own_session, sign_in_first, sign_in_link, user};
use crate::app::App;
use crate::form::{Pairs, Query, decode};
use crate::page_error::PageError;
use crate::pages::{PageErrorKind, PageLink};
use crate::request_context::{ClientAddress, RequestContext};
use crate::userinfo::bearer_token;

/// Extractor: the browser is signed in as an administrator, checked for this request. Most handlers of pages need
/// nothing else.
pub struct AdminSession {
    pub app: App,
    pub context: RequestContext,
    pub who: Administrator,
    pub session: Session,
    /// The query.
    pub pairs: Pairs,
    /// Path and query of this page, relative to the issuer: the target after a login.
    pub page: String,
}

impl FromRequestParts<App> for AdminSession {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let Ok(context) = RequestContext::from_request_parts(parts, app).await;
        let Query(pairs) = Query::from_request_parts(parts, app).await?;
        let base = app.issuer.settings.issuer.base_path();
        let path = parts.uri.path();
        let path = path.strip_prefix(base).unwrap_or(path);
        let page_pairs: Pairs = pairs.iter().filter(|(name, _)| name != "flash").cloned().collect();
        let page = Some(path_with_query(path, &page_pairs))
            .filter(|page| AccountPage::parse(page).is_some());
        let page = page.unwrap_or_else(|| Section::Sessions.path().to_owned());
        match signed_in_administrator(app, &context, &page).await {
            Ok((who, session)) => Ok(Self { app: app.clone(), context, who, session, pairs, page }),
            Err(NoAdministrator::SignIn(redirect)) => Err(redirect),
            Err(NoAdministrator::Page(page_error)) => Err(page_error.into_response()),
        }
    }
}

/// Why a page of the administrators is not shown.
enum NoAdministrator {
    /// No user is signed in: a redirect to the login.
    SignIn(Response),
    Page(PageError),
}

impl From<PageError> for NoAdministrator {
    fn from(error: PageError) -> Self {
        Self::Page(error)
    }
}

/// The administrator who is signed in, with their session.
async fn signed_in_administrator(
    app: &App,
    context: &RequestContext,
    page: &str,
) -> Result<(Administrator, Session), NoAdministrator> {
    let Some(session) = own_session(app, context).await? else {
        return Err(NoAdministrator::SignIn(sign_in_first(app, page, false)));
    };
    if let Some(who) = app.issuer.administrator(&session, Some(context.address.to_string())) {
        return Ok((who, session));
    }
    // Another login would lead the same user back here in an endless redirect.
    let problem = match app.issuer.settings.admin.groups.is_empty() {
        true => PageErrorKind::NoAdministratorConfigured,
        false => PageErrorKind::NotAdministrator,
    };
    let other_account = PageLink::OtherAccount(sign_in_link(app, page, true));
    Err(PageError::from(problem).link(other_account).into())
}

impl AdminSession {
    /// Required before every change: checks the CSRF token and that the sign-in is recent. `Some`: redirect to a new
    /// login, which returns to this page.
    pub fn require_fresh_sign_in(
        &self,
        form: &[(String, String)],
    ) -> Result<Option<Response>, PageError> {
        check_form(&self.app, &self.context, form)?;
        match self.app.issuer.signed_in_freshly(&self.session, FRESH_SIGN_IN) {
            true => Ok(None),
            false => Ok(Some(sign_in_first(&self.app, &self.page, true))),
        }
    }

    pub fn frame(&self, section: Section) -> Frame<'_> {
        let app = &self.app;
        Frame {
            layout: &app.layout,
            section,
            user: user(app, &self.session).name,
            base: app.issuer.settings.issuer.base_path().to_owned(),
            csrf: app.issuer.form_token(self.context.session.as_ref()),
            flash: None,
            configuration_failure: app.process.reload_state().failure.map(|(_, reason)| reason),
        }
    }

    /// The query without the parameter of the flash message.
    pub fn query(&self) -> Pairs {
        self.pairs.iter().filter(|(name, _)| name != "flash").cloned().collect()
    }
}

/// Extractor: the access token belongs to an administrator, checked for this request.
pub struct AdminToken(pub Administrator);

impl FromRequestParts<App> for AdminToken {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let token = bearer_token(&parts.headers);
        let token = token.ok_or_else(|| ProblemDetails::unauthenticated().into_response())?;
        let address = parts.extensions.get::<ClientAddress>().map(|found| found.0.to_string());
        match app.issuer.authenticate_admin_token(&token, address).await {
            Ok(administrator) => Ok(Self(administrator)),
            Err(AdminTokenError::Failed(failure)) => {
                Err(ProblemDetails::from(failure).into_response())
            }
            Err(refused) => {
                tracing::warn!(reason = %refused, "the API refused a token");
                Err(ProblemDetails::from(refused).into_response())
            }
        }
    }
}

/// The query, decoded.
pub struct QueryPairs(pub Pairs);

impl FromRequestParts<App> for QueryPairs {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Response> {
        let query = parts.uri.query().unwrap_or_default();
        match decode(query.as_bytes()) {
            Ok(pairs) => Ok(Self(pairs)),
            Err(status) => Err(api::bare(status)),
        }
    }
}
