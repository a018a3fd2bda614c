//! An error that is shown as a page: the user sees what to do and a reference id, the log contains the cause.
//!
//! A handler returns it as the error of its `Result`, or as a response; [`render`] makes the page.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign_issuer::IssuerError;

use crate::app::App;
use crate::pages::{ErrorPage, Name, Page, PageErrorKind, PageLink};
use crate::response::{PagePolicy, page};

/// In seconds; sent with every 503 page.
pub const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

#[derive(Clone, Debug)]
pub struct PageError(Box<Details>);

#[derive(Clone, Debug)]
struct Details {
    kind: PageErrorKind,
    items: Vec<String>,
    details: Vec<String>,
    link: Option<PageLink>,
    /// For the log only.
    cause: Option<String>,
}

impl From<PageErrorKind> for PageError {
    fn from(kind: PageErrorKind) -> Self {
        let details =
            Details { kind, items: Vec::new(), details: Vec::new(), link: None, cause: None };
        Self(Box::new(details))
    }
}

impl From<IssuerError> for PageError {
    fn from(error: IssuerError) -> Self {
        let kind = match &error {
            IssuerError::Unavailable { what, .. } if what == countersign_issuer::THE_DATABASE => {
                PageErrorKind::Unavailable
            }
            IssuerError::OutcomeUnknown { .. } => PageErrorKind::OutcomeUnknown,
            IssuerError::Unavailable { .. } => PageErrorKind::UpstreamDown,
            IssuerError::Misconfigured { .. } => PageErrorKind::UpstreamMisconfigured,
            IssuerError::Unstorable(_) | IssuerError::KeyOfSigner(_) => PageErrorKind::BadRequest,
            IssuerError::Broken(_) => PageErrorKind::Internal,
        };
        let mut page_error = Self::from(kind);
        page_error.0.cause = Some(error.to_string());
        match error {
            IssuerError::Unavailable { what, .. } if kind == PageErrorKind::UpstreamDown => {
                page_error.0.items = vec![what];
            }
            IssuerError::KeyOfSigner(way) => page_error.0.details = vec![way],
            IssuerError::Misconfigured { what, missing, .. } => {
                page_error.0.items = vec![what];
                page_error.0.details = vec![missing];
            }
            _ => {}
        }
        page_error
    }
}

impl PageError {
    pub fn items(mut self, items: Vec<String>) -> Self {
        self.0.items = items;
        self
    }

    /// Adds a line of details.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.details.push(detail.into());
        self
    }

    pub fn link(mut self, link: PageLink) -> Self {
        self.0.link = Some(link);
        self
    }

    /// Sets the link, unless the page has one already. Where the same account would be refused again, the link offers
    /// another account instead of another attempt.
    pub fn or_link(mut self, link: PageLink) -> Self {
        let link = match link {
            PageLink::TryAgain(to) if self.0.kind.refuses_account() => PageLink::OtherAccount(to),
            other => other,
        };
        self.0.link.get_or_insert(link);
        self
    }

    /// Logs the error and renders its page. Most errors can occur during a client's login, so their pages keep
    /// `window.opener`.
    pub fn show(self, app: &App, request_id: &str) -> Response {
        let Details { kind, items, details, link, cause } = *self.0;
        let status = kind.status();
        if status >= 500 {
            let cause = cause.as_deref().unwrap_or("no cause was given");
            tracing::error!(kind = ?kind, cause, "a request failed");
        } else {
            let detail = details.join("; ");
            let detail = (!detail.is_empty()).then(|| detail.chars().take(200).collect::<String>());
            tracing::info!(kind = ?kind, detail, "an error page was shown");
        }
        let items: Vec<Name> = items.iter().map(|item| item.as_str().into()).collect();
        let mut view = ErrorPage::new(&app.layout, kind, request_id).items(items);
        for detail in &details {
            view = view.detail(detail);
        }
        if let Some(link) = link {
            view = view.link(link);
        }
        let mut response = page(app, status, policy(kind), view.render());
        if status == 503 {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

/// The header policy of an error page; errors outside a login are standalone.
fn policy(kind: PageErrorKind) -> PagePolicy {
    match kind {
        PageErrorKind::NotFound
        | PageErrorKind::NotAdministrator
        | PageErrorKind::NoAdministratorConfigured => PagePolicy::Standalone,
        _ => PagePolicy::LoginStep,
    }
}

/// A response without a body that carries the error to [`render`], which knows the layout and the request id.
impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let status = self.0.kind.status();
        let mut response = Response::default();
        *response.status_mut() =
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(self);
        response
    }
}

/// Replaces a response that carries a [`PageError`] by its page, and keeps the status and headers (such as cookies) that
/// the handler set. Other responses are returned as they are.
pub fn render(app: &App, request_id: &str, mut response: Response) -> Response {
    let Some(page_error) = response.extensions_mut().remove::<PageError>() else {
        return response;
    };
    let mut page = page_error.show(app, request_id);
    *page.status_mut() = response.status();
    for (name, value) in response.headers() {
        page.headers_mut().append(name.clone(), value.clone());
    }
    page
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::PageError;
    use crate::pages::PageErrorKind;

    #[test]
    fn the_response_of_an_error_has_its_status_and_carries_it() {
        let response = PageError::from(PageErrorKind::NotFound).into_response();
        assert_eq!(response.status(), 404);
        assert!(response.headers().is_empty());
        assert!(response.extensions().get::<PageError>().is_some());
    }
}
