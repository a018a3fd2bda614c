//! What a call carries beside its message.

use std::net::IpAddr;
use std::sync::Arc;

use countersign_issuer::admin::Administrator;
use countersign_issuer::admin::stored_objects::ObjectOutcome;
use countersign_issuer::{Issuer, IssuerError};
use tonic::Status;

use crate::GrpcSettings;

/// Who calls, and whom.
pub struct Call {
    pub issuer: Arc<Issuer>,
    pub settings: GrpcSettings,
    pub administrator: Administrator,
    /// `None`: not known.
    pub address: Option<IpAddr>,
}

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
            Status::unavailable("temporarily unavailable: try again later")
        }
        IssuerError::Unstorable(_) => Status::invalid_argument(error.to_string()),
        IssuerError::Misconfigured { .. } | IssuerError::Broken(_) => {
            tracing::error!(cause = %error, "a gRPC call failed");
            Status::internal("internal server error: the log has the cause")
        }
    }
}
