//! Verifies the password of a local user for an administrator's program, within the limits on attempts of a login.

use std::net::IpAddr;
use std::time::Duration;

use countersign_core::{ConnectorId, Secret};

use crate::login::{Browser, PasswordOutcome, PasswordSubmission};
use crate::{Issuer, IssuerError};

/// The connector of local users, as in Dex.
const LOCAL: &str = "local";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordVerification {
    Correct,
    Wrong,
    /// There is no local user of this address.
    UnknownUser,
    /// Too many attempts for this account or from this address: nothing was verified.
    RateLimited(Duration),
}

impl Issuer {
    /// Costs one verification whether or not the user exists. `address` is that of the program.
    pub async fn verify_password(
        &self,
        email: &str,
        password: Secret,
        address: IpAddr,
    ) -> Result<PasswordVerification, IssuerError> {
        let Some(connector) = self.connectors.get(&ConnectorId::new(LOCAL)) else {
            return Ok(PasswordVerification::UnknownUser);
        };
        let submission = PasswordSubmission { login: email.to_owned(), password };
        let caller =
            Browser { cookie: None, address, user_agent: String::new(), device_cookie: None };
        match self.check_password(&connector, &submission, &caller).await? {
            PasswordOutcome::Authenticated(_) => Ok(PasswordVerification::Correct),
            PasswordOutcome::RateLimited(wait) => Ok(PasswordVerification::RateLimited(wait)),
            PasswordOutcome::Refused(_) if self.has_user(email).await? => {
                Ok(PasswordVerification::Wrong)
            }
            PasswordOutcome::Refused(_) => Ok(PasswordVerification::UnknownUser),
        }
    }
}
