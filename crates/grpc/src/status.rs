//! How a refusal looks on the wire. Dex answers every refusal with the code `Unknown`, and "there is one already" and
//! "there is none" as members of the response.

use countersign_issuer::IssuerError;
use countersign_issuer::admin::stored_objects::ObjectOutcome;
use tonic::Status;

/// What is refused, in Dex's plural: `clients`, `passwords` or `connectors`.
pub fn refused(what: &str) -> Status {
    Status::unknown(what)
}

/// Whether a change was made; false if the object was not as the call expects (`already_exists` or `not_found`).
/// `what` and `verb` are those of Dex's message for objects of the configuration file, such as `client` and `delete`.
pub fn is_done(outcome: ObjectOutcome, what: &str, verb: &str) -> Result<bool, Status> {
    match outcome {
        ObjectOutcome::Done => Ok(true),
        ObjectOutcome::AlreadyExists | ObjectOutcome::NotFound => Ok(false),
        ObjectOutcome::ReadOnly => {
            Err(refused(&format!("static {what}s: read-only cannot {verb} {what}")))
        }
        ObjectOutcome::Invalid(reason) => Err(refused(&format!("cannot {verb} {what}: {reason}"))),
    }
}

/// The cause is for the log.
pub fn failed(error: IssuerError) -> Status {
    match &error {
        IssuerError::Unavailable { .. } | IssuerError::OutcomeUnknown { .. } => {
            tracing::error!(cause = %error, "a gRPC call could not be answered");
            Status::unavailable(match error {
                IssuerError::OutcomeUnknown { .. } => {
                    "temporarily unavailable: the change was not confirmed and may have been made"
                }
                _ => "temporarily unavailable: try again later",
            })
        }
        IssuerError::Unstorable(_) => Status::invalid_argument(error.to_string()),
        IssuerError::Misconfigured { .. } | IssuerError::Broken(_) => {
            tracing::error!(cause = %error, "a gRPC call failed");
            Status::internal("internal server error: the log has the cause")
        }
    }
}
