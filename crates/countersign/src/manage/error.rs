//! Why a command failed, for the command line.

use std::fmt;

use countersign_issuer::IssuerError;
use countersign_issuer::admin::fields::{FieldError, RequestError};

/// One line for standard error.
#[derive(Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The value of a request field is invalid. `field` is its name in the API until
    /// [`CommandError::with_option_names`] replaces it by the option's name.
    Field {
        field: String,
        problem: String,
    },
    Other(String),
}

impl CommandError {
    pub fn other(error: impl fmt::Display) -> Self {
        Self::Other(error.to_string())
    }

    /// Replaces the API's field name by the option's: the one in `exceptions`, otherwise the field's name with hyphens.
    pub fn with_option_names(self, exceptions: &[(&str, &str)]) -> Self {
        match self {
            Self::Field { field, problem } => {
                let exception = exceptions.iter().find(|(name, _)| *name == field);
                let option = match exception {
                    Some((_, option)) => (*option).to_owned(),
                    None => format!("--{}", field.replace('_', "-")),
                };
                Self::Field { field: option, problem }
            }
            other @ Self::Other(_) => other,
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field { field, problem } => write!(f, "{field}: {problem}"),
            Self::Other(message) => f.write_str(message),
        }
    }
}

impl From<FieldError> for CommandError {
    fn from(bad: FieldError) -> Self {
        Self::Field { field: bad.field, problem: bad.problem }
    }
}

impl From<RequestError> for CommandError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Field(bad) => bad.into(),
            RequestError::Failed(error) => error.into(),
        }
    }
}

impl From<IssuerError> for CommandError {
    fn from(error: IssuerError) -> Self {
        Self::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::CommandError;

    #[test]
    fn a_message_names_the_option_and_not_the_field() {
        let field = |field: &str| CommandError::Field {
            field: field.to_owned(),
            problem: "is not accepted".to_owned(),
        };
        let exceptions = [("created_since", "--since")];
        let named = |name: &str| field(name).with_option_names(&exceptions).to_string();
        assert_eq!(named("created_since"), "--since: is not accepted");
        assert_eq!(named("seen_before"), "--seen-before: is not accepted");
    }
}
