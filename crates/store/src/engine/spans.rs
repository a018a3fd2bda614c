//! A span for each database operation of a request, for an OpenTelemetry collector.

use countersign_core::exported_spans::TARGET;
use tracing::Span;
use tracing::field::Empty;

use super::{Engine, Operation};
use crate::StoreError;

impl Engine {
    /// The span of an operation, named after its type; its parent is the current span. Disabled without a collector.
    pub(super) fn span<V: Operation>(&self) -> Span {
        tracing::info_span!(
            target: TARGET,
            "database",
            otel.name = operation_name(V::type_name()),
            otel.kind = "client",
            otel.status_code = Empty,
            db.system.name = self.system_name(),
            db.operation.name = operation_name(V::type_name()),
            "error.type" = Empty,
        )
    }

    /// As OpenTelemetry's semantic conventions name them.
    const fn system_name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgresql",
        }
    }
}

/// Ends the span with the kind of the failure. The cause is only in the log: it may name hosts and files.
pub(super) fn end<T>(span: &Span, result: &Result<T, StoreError>) {
    if let Err(error) = result {
        span.record("otel.status_code", "ERROR").record("error.type", kind(error));
    }
}

const fn kind(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unavailable(_) => "unavailable",
        StoreError::OutcomeUnknown(_) => "outcome_unknown",
        StoreError::Corrupt(_) => "corrupt",
        StoreError::Unstorable(_) => "unstorable",
        StoreError::InvalidCursor => "invalid_cursor",
    }
}

/// Module and name of the type of an operation: `codes::Redeem`.
fn operation_name(path: &'static str) -> &'static str {
    let path = path.split_once('<').map_or(path, |(path, _)| path);
    path.split_once("::").map_or(path, |(_, path)| path)
}

#[cfg(test)]
mod tests {
    use std::any::type_name;

    use super::operation_name;

    struct Generic<T>(std::marker::PhantomData<T>);

    #[test]
    fn an_operation_is_named_without_crate_and_parameters() {
        let name = operation_name(type_name::<Generic<Vec<String>>>());
        assert_eq!(name, "engine::spans::tests::Generic");
    }
}
