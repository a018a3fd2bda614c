//! The context of a call besides its message.

use std::net::IpAddr;
use std::sync::Arc;

use countersign_issuer::admin::Administrator;
use countersign_issuer::admin::stored_objects::ObjectOutcome;
use countersign_issuer::{Issuer, IssuerError};
use tonic::Status;

use crate::GrpcSettings;

/// The caller, and the issuer in use.
pub struct Call {
    pub issuer: Arc<Issuer>,
    pub settings: GrpcSettings,
    pub administrator: Administrator,
    /// `None`: unknown.
    pub address: Option<IpAddr>,
}

/// A refusal with this text, as in Dex, which returns the code `Unknown`.
pub fn refused(what: &str) -> Status {
    Status::unknown(what)
}

/// Whether a change was made; false if the object already exists or was not found. `what` and `verb`, such as `client`
/// and `delete`, are used in Dex's message for objects of the configuration file.
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

/// Maps an internal error to a status; the cause is only logged.
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
        IssuerError::KeyOfSigner(_) => Status::failed_precondition(error.to_string()),
        IssuerError::Misconfigured { .. } | IssuerError::Broken(_) => {
            tracing::error!(cause = %error, "a gRPC call failed");
            Status::internal("internal server error: the log has the cause")
        }
    }
}
