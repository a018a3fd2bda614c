//! The signing key that another service keeps (`signer.type: vault`): its versions as last read, and signing.
//!
//! Replicas agree without a database: a version signs one hour after the service created it, so that every relying
//! party has fetched it; the oldest version that may sign does so at once.

use std::sync::{Arc, Mutex, PoisonError};

use countersign_core::connector::ConnectorError;
use countersign_core::{ExternalKeyVersions, ExternalSigner, Timestamp};
use countersign_jose::ExternalKey;

use super::PUBLISHED_BEFORE;
use crate::{IssuerError, Settings};

/// The key as read at `read_at`. If the service does not answer, these are the versions that it last named.
pub(crate) struct ExternalKeys {
    service: Arc<dyn ExternalSigner>,
    /// In ascending order.
    pub(super) versions: Vec<ExternalVersion>,
    /// `None`: the service has not answered since the start.
    pub(super) read_at: Option<Timestamp>,
    warning: Option<String>,
    /// The failure of the last request.
    failure: Mutex<Option<ConnectorError>>,
}

/// A version that verifies.
#[derive(Clone)]
pub(crate) struct ExternalVersion {
    pub(crate) number: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) key: Arc<ExternalKey>,
    /// Whether the service still signs with it.
    pub(crate) may_sign: bool,
}

impl ExternalVersion {
    /// When it signs, if no newer version does.
    pub(crate) fn signs_from(&self) -> Timestamp {
        self.created_at + PUBLISHED_BEFORE
    }
}

impl ExternalKeys {
    /// Reads the versions from the service of the settings; `None` if there is none. If the service
    /// does not answer, the versions of `before` stay in use.
    pub(super) async fn read(
        settings: &Settings,
        before: Option<Arc<Self>>,
        now: Timestamp,
    ) -> Option<Arc<Self>> {
        let service = Arc::clone(settings.external_signer.as_ref()?);
        let before = before.as_deref();
        let read = service.versions().await.and_then(|found| parsed(service.name(), found));
        let keys = match read {
            Ok((versions, warning)) => {
                let (read_at, failure) = (Some(now), Mutex::new(None));
                Self { service, versions, read_at, warning, failure }
            }
            Err(failure) => Self {
                service,
                versions: before.map(|keys| keys.versions.clone()).unwrap_or_default(),
                read_at: before.and_then(|keys| keys.read_at),
                warning: before.and_then(|keys| keys.warning.clone()),
                failure: Mutex::new(Some(failure)),
            },
        };
        Some(Arc::new(keys))
    }

    /// Logs failures, new versions and warnings that `before` did not have. Called when these keys are in use.
    pub(super) fn log_changes(&self, before: Option<&Self>) {
        let signer = self.service.name();
        match (before.and_then(Self::problem), self.problem()) {
            (before, Some(cause)) if before.as_ref() != Some(&cause) => {
                tracing::error!(
                    event = "signer_failed",
                    signer,
                    cause,
                    "the signing key cannot be read"
                );
            }
            (Some(_), None) => tracing::info!(
                event = "signer_recovered",
                signer,
                "the signing key can be read again"
            ),
            _ => {}
        }
        let newest = self.versions.last().map(|version| (version.number, version.signs_from()));
        let known = before.and_then(|keys| keys.versions.last()).map(|version| version.number);
        if let (Some((number, signs_from)), Some(known)) = (newest, known)
            && number > known
        {
            tracing::info!(event = "key_rotated", signer, number, signs_from = %signs_from, "a new signing key is published");
        }
        if let Some(warning) = &self.warning
            && before.is_none_or(|keys| keys.warning.is_none())
        {
            tracing::warn!(signer, "{warning}");
        }
    }

    pub(super) async fn sign(&self, version: i64, digest: &[u8]) -> Result<Vec<u8>, IssuerError> {
        let signed = self.service.sign(version, digest).await;
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        *failure = signed.as_ref().err().cloned();
        drop(failure);
        signed.map_err(|error| IssuerError::upstream(&error))
    }

    pub(super) fn problem(&self) -> Option<String> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().map(|failure| format!("{}: {}", self.service.name(), failure.cause()))
    }

    /// Why no version is there that signs.
    pub(super) fn error(&self) -> IssuerError {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match failure.as_ref() {
            Some(failure) => IssuerError::upstream(failure),
            None => {
                IssuerError::Broken(format!("{} has no version that signs", self.service.name()))
            }
        }
    }
}

/// The versions with their parsed keys, and the warning.
fn parsed(
    name: &str,
    found: ExternalKeyVersions,
) -> Result<(Vec<ExternalVersion>, Option<String>), ConnectorError> {
    let ExternalKeyVersions { versions, min_signing_version, warning } = found;
    let parse = |version: countersign_core::ExternalKeyVersion| {
        let key = ExternalKey::from_pem(&version.public_key).map_err(|error| {
            ConnectorError::Misconfigured {
                upstream: name.to_owned(),
                missing: "The signing key cannot be used.".to_owned(),
                cause: format!("version {}: {error}", version.number),
            }
        })?;
        Ok(ExternalVersion {
            number: version.number,
            created_at: version.created_at,
            key: Arc::new(key),
            may_sign: version.number >= min_signing_version,
        })
    };
    let versions = versions.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    Ok((versions, warning))
}

/// What `check` reports: one line for each version, after the newest one that may sign has signed and its signature was
/// verified.
pub async fn check_external_signer(
    service: &Arc<dyn ExternalSigner>,
) -> Result<Vec<String>, IssuerError> {
    let upstream = |error: ConnectorError| IssuerError::upstream(&error);
    let found = service.versions().await.map_err(upstream)?;
    let (versions, warning) = parsed(service.name(), found).map_err(upstream)?;
    let mut lines: Vec<String> = versions.iter().map(line).collect();
    let newest = versions.iter().rfind(|version| version.may_sign);
    let newest = newest.ok_or_else(|| IssuerError::Broken("no version signs".to_owned()))?;
    let unsigned = newest.key.prepare(Some("check"), b"{}")?;
    let signature = service.sign(newest.number, unsigned.digest()).await.map_err(upstream)?;
    newest.key.complete(&unsigned, &signature)?;
    lines.push(format!("version {} signed, and its signature verifies", newest.number));
    lines.extend(warning);
    Ok(lines)
}

fn line(version: &ExternalVersion) -> String {
    let ExternalVersion { number, created_at, key, may_sign } = version;
    let use_ = if *may_sign { "signs or will sign" } else { "only verifies" };
    format!("version {number}, {}, of {created_at}, {use_}, kid {}", key.algorithm(), key.kid())
}
