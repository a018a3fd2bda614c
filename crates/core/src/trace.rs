//! The trace of the requests to an upstream: requests, responses, and what was filtered and why. For diagnosing missing
//! groups after a successful login. It contains no password, token or key. And the target of the spans for an
//! OpenTelemetry collector, [`EXPORTED_SPANS`].

use serde::{Deserialize, Serialize};

/// The target of the spans of database operations and of calls to upstreams, which the log does not show.
///
/// Without a collector no layer accepts this target, and the macro that makes such a span only reads a flag. The spans
/// are not entered, so that they do not change the span that a log line belongs to; their parent is the span of the
/// request. They have the names of OpenTelemetry's semantic conventions, and no values from a request or a response.
pub const EXPORTED_SPANS: &str = "exported_spans";

/// The kind of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceKind {
    /// A request: a filter, or a URL without its secrets.
    Request,
    /// A response.
    Response,
    /// A value included in the identity, and why.
    Included,
    /// A value excluded from the identity, and why.
    Excluded,
    /// Other information.
    Note,
}

/// One line of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceStep {
    pub kind: TraceKind,
    pub text: String,
}

/// At most [`Trace::LIMIT`] steps are kept; further ones are only counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    steps: Vec<TraceStep>,
    left_out: usize,
}

impl Trace {
    /// Maximum number of steps.
    pub const LIMIT: usize = 500;

    pub fn request(&mut self, text: impl Into<String>) {
        self.add(TraceKind::Request, text.into());
    }
    pub fn response(&mut self, text: impl Into<String>) {
        self.add(TraceKind::Response, text.into());
    }
    pub fn included(&mut self, what: &str, reason: &str) {
        self.add(TraceKind::Included, format!("{what}: {reason}"));
    }
    pub fn excluded(&mut self, what: &str, reason: &str) {
        self.add(TraceKind::Excluded, format!("{what}: {reason}"));
    }
    pub fn note(&mut self, text: impl Into<String>) {
        self.add(TraceKind::Note, text.into());
    }

    /// Appends the steps of another trace.
    pub fn append(&mut self, later: Self) {
        self.left_out += later.left_out;
        for step in later.steps {
            self.add(step.kind, step.text);
        }
    }

    /// The first `most` steps, each truncated to `longest` characters; the others are counted.
    #[must_use]
    pub fn truncated(&self, most: usize, longest: usize) -> Self {
        let short = |step: &TraceStep| TraceStep {
            kind: step.kind,
            text: step.text.chars().take(longest).collect(),
        };
        let left_out = self.left_out + self.steps.len().saturating_sub(most);
        Self { steps: self.steps.iter().take(most).map(short).collect(), left_out }
    }

    pub fn steps(&self) -> &[TraceStep] {
        &self.steps
    }

    /// Steps beyond the limit, counted but not kept.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    fn add(&mut self, kind: TraceKind, text: String) {
        if self.steps.len() < Self::LIMIT {
            self.steps.push(TraceStep { kind, text });
        } else {
            self.left_out += 1;
        }
    }
}
