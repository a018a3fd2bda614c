//! What went wrong, told twice: to the person on a page with a reference, to the operator in the log.

use axum::http::{HeaderValue, header};
use axum::response::Response;
use countersign_issuer::IssuerError;

use crate::answer::page;
use crate::app::App;
use crate::csp::FormsEnd;
use crate::pages::{ErrorPage, Name, Page, PageErrorKind, PageLink};
use crate::request_context::RequestContext;

/// Seconds after which it is worth to ask again.
pub const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// An error page in the making.
#[derive(Debug)]
pub struct PageError(Box<Told>);

#[derive(Debug)]
struct Told {
    problem: PageErrorKind,
    items: Vec<String>,
    detail: Option<String>,
    link: Option<PageLink>,
    /// For the log only.
    cause: Option<String>,
}

impl From<PageErrorKind> for PageError {
    fn from(problem: PageErrorKind) -> Self {
        let told = Told { problem, items: Vec::new(), detail: None, link: None, cause: None };
        Self(Box::new(told))
    }
}

impl From<IssuerError> for PageError {
    fn from(failure: IssuerError) -> Self {
        let problem = match &failure {
            IssuerError::Unavailable { what, .. } if what == countersign_issuer::THE_DATABASE => {
                PageErrorKind::Unavailable
            }
            IssuerError::OutcomeUnknown { .. } => PageErrorKind::Unavailable,
            IssuerError::Unavailable { .. } => PageErrorKind::UpstreamDown,
            IssuerError::Misconfigured { .. } => PageErrorKind::UpstreamMisconfigured,
            IssuerError::Unstorable(_) => PageErrorKind::BadRequest,
            IssuerError::Broken(_) => PageErrorKind::Internal,
        };
        let mut page_error = Self::from(problem);
        page_error.0.cause = Some(failure.to_string());
        match failure {
            IssuerError::Unavailable { what, .. } if problem == PageErrorKind::UpstreamDown => {
                page_error.0.items = vec![what];
            }
            IssuerError::Misconfigured { what, missing, .. } => {
                page_error.0.items = vec![what];
                page_error.0.detail = Some(missing);
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

    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    pub fn link(mut self, link: PageLink) -> Self {
        self.0.link = Some(link);
        self
    }

    /// A way on, where the page has none yet.
    pub fn or_link(mut self, link: PageLink) -> Self {
        self.0.link.get_or_insert(link);
        self
    }

    pub fn show(self, app: &App, context: &RequestContext) -> Response {
        let Told { problem, items, detail, link, cause } = *self.0;
        let status = problem.status();
        if status >= 500 {
            let cause = cause.as_deref().unwrap_or("no cause was given");
            tracing::error!(problem = ?problem, cause, "a request failed");
        } else {
            let detail: Option<String> = detail.as_ref().map(|d| d.chars().take(200).collect());
            tracing::info!(problem = ?problem, detail, "an error page was shown");
        }
        let items: Vec<Name> = items.iter().map(|item| item.as_str().into()).collect();
        let mut shown = ErrorPage::new(&app.layout, problem, &context.id).items(items);
        if let Some(detail) = &detail {
            shown = shown.detail(detail);
        }
        if let Some(link) = link {
            shown = shown.link(link);
        }
        let mut response = page(app, status, FormsEnd::AtHome, shown.render());
        if status == 503 {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

/// The answer, or the page about why there is none.
pub fn into_response(
    app: &App,
    context: &RequestContext,
    result: Result<Response, PageError>,
) -> Response {
    result.unwrap_or_else(|page_error| page_error.show(app, context))
}
