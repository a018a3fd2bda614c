//! What went wrong, told twice: to the person on a page with a reference, to the operator in the log.

use axum::http::{HeaderValue, header};
use axum::response::Response;
use countersign_issuer::Failure;

use crate::answer::page;
use crate::app::App;
use crate::csp::FormsEnd;
use crate::pages::{ErrorPage, Name, Page, Problem, Way};
use crate::visit::Visit;

/// Seconds after which it is worth to ask again.
pub const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// An error page in the making.
#[derive(Debug)]
pub struct Trouble(Box<Told>);

#[derive(Debug)]
struct Told {
    problem: Problem,
    items: Vec<String>,
    detail: Option<String>,
    way: Option<Way>,
    /// For the log only.
    cause: Option<String>,
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        let told = Told { problem, items: Vec::new(), detail: None, way: None, cause: None };
        Self(Box::new(told))
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
        let mut trouble = Self::from(problem);
        trouble.0.cause = Some(failure.to_string());
        if let (Problem::UpstreamDown, Failure::Unavailable { what, .. }) = (problem, failure) {
            trouble.0.items = vec![what];
        }
        trouble
    }
}

impl Trouble {
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

    pub fn show(self, app: &App, visit: &Visit) -> Response {
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
        let mut shown = ErrorPage::new(&app.layout, problem, &visit.id).items(items);
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
pub fn settle(app: &App, visit: &Visit, result: Result<Response, Trouble>) -> Response {
    result.unwrap_or_else(|trouble| trouble.show(app, visit))
}
