//! What went wrong, told twice: to the person on a page with a reference, to the operator in the log.

use axum::http::{HeaderValue, header};
use axum::response::Response;
use countersign_issuer::Failure;

use crate::answer::page;
use crate::app::App;
use crate::csp::FormsEnd;
use crate::pages::{ErrorPage, Name, Page, Problem, Way};
use crate::visit::Visit;

const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// An error page in the making.
#[derive(Debug)]
pub struct Trouble {
    problem: Problem,
    items: Vec<String>,
    detail: Option<String>,
    way: Option<Way>,
    /// For the log only.
    cause: Option<String>,
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Self { problem, items: Vec::new(), detail: None, way: None, cause: None }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        let problem = match &failure {
            Failure::Unavailable { what, .. } if what == countersign_issuer::THE_DATABASE => {
                Problem::Unavailable
            }
            Failure::Unavailable { .. } => Problem::UpstreamDown,
            Failure::Unstorable(_) => Problem::BadRequest,
            Failure::Broken(_) => Problem::Internal,
        };
        Self { cause: Some(failure.to_string()), ..Self::from(problem) }
    }
}

impl Trouble {
    pub fn items(mut self, items: Vec<String>) -> Self {
        self.items = items;
        self
    }

    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub fn way(mut self, way: Way) -> Self {
        self.way = Some(way);
        self
    }

    pub fn show(self, app: &App, visit: &Visit) -> Response {
        let status = self.problem.status();
        if status >= 500 {
            let cause = self.cause.as_deref().unwrap_or("no cause was given");
            tracing::error!(problem = ?self.problem, cause, "a request failed");
        } else {
            tracing::info!(problem = ?self.problem, detail = self.detail.as_deref(), "an error page was shown");
        }
        let items: Vec<Name> = self.items.iter().map(|item| item.as_str().into()).collect();
        let mut shown = ErrorPage::new(&app.layout, self.problem, &visit.id).items(items);
        if let Some(detail) = &self.detail {
            shown = shown.detail(detail);
        }
        if let Some(way) = self.way {
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
pub fn settle(app: &App, visit: &Visit, result: Result<Response, Trouble>) -> Response {
    result.unwrap_or_else(|trouble| trouble.show(app, visit))
}
