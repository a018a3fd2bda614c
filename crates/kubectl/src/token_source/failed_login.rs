//! Whether a login may be started after one that failed, and what the record keeps of one that fails.

use crate::cache::{Failure, Lock, LockedRecord, LoginRecord, Tokens};
use crate::error::Error;
use crate::terminal;

use super::{LOCK_MARGIN, Renewal, TokenSource};

impl TokenSource<'_> {
    /// The lock for a login. `end`: why the refresh token is invalid, which is printed.
    ///
    /// # Errors
    /// No login may be started: the command starts none, or the last one failed and nobody has requested another.
    pub(super) async fn permission_to_sign_in(
        &self,
        record: &LoginRecord,
        end: Option<&Error>,
    ) -> Result<Option<Lock>, Error> {
        if !self.may_sign_in {
            let failure = record.failure.as_ref().map(|failure| failure.reason.clone());
            let reason = end.map(ToString::to_string).or(failure);
            let reason = reason.unwrap_or_else(|| "the tokens have expired".to_owned());
            return Err(Error::SignedOut { reason, command: self.login_command() });
        }
        let must_not_repeat =
            !self.is_requested_by_person && self.options.grant_type.needs_person();
        if must_not_repeat {
            self.not_after(record.failure.clone().filter(|failure| failure.was_shown))?;
        }
        let lock = self.cache.lock_for_login(self.options.timeout + LOCK_MARGIN).await?;
        if must_not_repeat {
            // Of another profile, for example one that this process has waited for: ten clusters that an editor polls must
            // not open ten tabs either.
            self.not_after(self.cache.failed_login())?;
        }
        if let Some(end) = end {
            let text = format!("{end}; sign in again.");
            eprintln!("{}", terminal::wrapped("", &terminal::printable(&text)));
        }
        Ok(lock)
    }

    fn not_after(&self, failure: Option<Failure>) -> Result<(), Error> {
        match failure {
            Some(Failure { at, reason, .. }) => {
                Err(Error::NotInteractive { at, reason, command: self.login_command() })
            }
            None => Ok(()),
        }
    }

    /// Writes the record of a login that failed. `end`: why the refresh token is invalid.
    pub(super) async fn keep_failure(
        &self,
        locked: &LockedRecord,
        mut failed: LoginRecord,
        end: Option<&Error>,
    ) -> Result<(), Error> {
        let keeps_tokens = match end {
            Some(end) => !end.refuses_refresh_token(),
            // A person may request a login while the old one is valid.
            None => self.renewal != Renewal::Nothing,
        };
        if !keeps_tokens {
            failed.tokens = Tokens::default();
        }
        if let Some(failure) = failed.failure.as_ref().filter(|failure| failure.was_shown) {
            self.cache.set_failed_login(Some(failure))?;
        }
        locked.write(&mut failed).await
    }

    /// The record, with its tokens, after a login that failed. `was_shown`: to a person.
    pub(super) fn failed_login(
        &self,
        record: &LoginRecord,
        end: Option<&Error>,
        reason: &str,
        was_shown: bool,
    ) -> LoginRecord {
        let reason = match end {
            Some(end) => format!("{end}; then: {reason}"),
            None => reason.to_owned(),
        };
        LoginRecord {
            profile: Some(self.profile.clone()),
            checked_at: None,
            failure: Some(Failure { at: (self.now)(), reason, was_shown }),
            ..record.clone()
        }
    }
}
