//! A call besides its message: its context, the status of its outcome, and counting it.

use std::net::IpAddr;
use std::sync::Arc;

use countersign_issuer::admin::Administrator;
use countersign_issuer::admin::stored_objects::ObjectOutcome;
use countersign_issuer::{Issuer, IssuerError};
use tonic::{Code, Status};

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

/// Where calls are counted, as Dex's server does (`grpc_server_started_total`, `grpc_server_handled_total`). `method` is
/// the name in `api.proto`, such as `ListClients`; `code` that of the gRPC specification as Go writes it, such as `OK` or
/// `NotFound`.
pub trait CallMetrics: Send + Sync {
    fn started(&self, method: &str);
    fn handled(&self, method: &str, code: &str);
}

/// One call. A call that is dropped, because the client went away or the time was up, counts as canceled.
pub struct CountedCall {
    metrics: Arc<dyn CallMetrics>,
    method: String,
    code: Code,
}

impl CountedCall {
    /// `function` is the name of the method in Rust, such as `list_clients`.
    pub fn start(metrics: Arc<dyn CallMetrics>, function: &str) -> Self {
        let method = method_name(function);
        metrics.started(&method);
        Self { metrics, method, code: Code::Cancelled }
    }

    pub fn finish<T>(mut self, result: Result<T, Status>) -> Result<T, Status> {
        self.code = result.as_ref().map_or_else(Status::code, |_| Code::Ok);
        result
    }
}

impl Drop for CountedCall {
    fn drop(&mut self) {
        self.metrics.handled(&self.method, &code_name(self.code));
    }
}

/// `list_clients` is `ListClients`.
fn method_name(function: &str) -> String {
    let words = function.split('_').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.collect()
}

fn code_name(code: Code) -> String {
    match code {
        Code::Ok => "OK".to_owned(),
        Code::Cancelled => "Canceled".to_owned(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tonic::Status;

    use super::{CallMetrics, CountedCall};

    #[derive(Default)]
    struct Recorder(Mutex<Vec<String>>);

    impl CallMetrics for Recorder {
        fn started(&self, method: &str) {
            self.0.lock().unwrap().push(method.to_owned());
        }

        fn handled(&self, method: &str, code: &str) {
            self.0.lock().unwrap().push(format!("{method} {code}"));
        }
    }

    #[test]
    fn a_call_is_counted_once_with_its_code() {
        let recorder = Arc::new(Recorder::default());
        let start = || CountedCall::start(recorder.clone(), "verify_password");
        start().finish(Ok(())).unwrap();
        start().finish::<()>(Err(Status::resource_exhausted(""))).unwrap_err();
        drop(start());
        let recorded = recorder.0.lock().unwrap();
        let expected = ["OK", "ResourceExhausted", "Canceled"]
            .map(|code| ["VerifyPassword".to_owned(), format!("VerifyPassword {code}")]);
        assert_eq!(*recorded, expected.concat());
    }
}
