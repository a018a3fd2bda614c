//! What went wrong, told twice: to the person on a page with a reference, to the operator in the log.

use axum::http::{HeaderValue, header};
use axum::response::Response;
use countersign_issuer::IssuerError;

use crate::answer::page;
use crate::app::App;
use crate::csp::FormsEnd;
use crate::pages::{ErrorPage, Name, Page, Problem, Way};
use crate::request_context::RequestContext;

/// Seconds after which it is worth to ask again.
pub const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// An error page in the making.
#[derive(Debug)]
pub struct PageError(Box<Told>);

#[derive(Debug)]
struct Told {
    problem: Problem,
    items: Vec<String>,
    detail: Option<String>,
    way: Option<Way>,
    /// For the log only.
    cause: Option<String>,
}

impl From<Problem> for PageError {
    fn from(problem: Problem) -> Self {
        let told = Told { problem, items: Vec::new(), detail: None, way: None, cause: None };
        Self(Box::new(told))
    }
}

impl From<IssuerError> for PageError {
    fn from(failure: IssuerError) -> Self {
        let problem = match &failure {
            IssuerError::Unavailable { what, .. } if what == countersign_issuer::THE_DATABASE => {
                Problem::Unavailable
            }
            IssuerError::Unavailable { .. } => Problem::UpstreamDown,
            IssuerError::Misconfigured { .. } => Problem::UpstreamMisconfigured,
            IssuerError::Unstorable(_) => Problem::BadRequest,
            IssuerError::Broken(_) => Problem::Internal,
        };
        let mut page_error = Self::from(problem);
        page_error.0.cause = Some(failure.to_string());
        match failure {
            IssuerError::Unavailable { what, .. } if problem == Problem::UpstreamDown => {
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

    pub fn way(mut self, way: Way) -> Self {
        self.0.way = Some(way);
        self
    }

    /// A way on, where the page has none yet.
    pub fn or_way(mut self, way: Way) -> Self {
        self.0.way.get_or_insert(way);
        self
    }

    pub fn show(self, app: &App, context: &RequestContext) -> Response {
        let Told { problem, items, detail, way, cause } = *self.0;
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
        if let Some(way) = way {
            shown = shown.way(way);
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
