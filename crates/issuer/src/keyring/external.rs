//! The signing key that another service keeps (`signer.type: vault`): its versions as last read, and signing.
//!
//! Replicas agree without a database: a version signs one hour after the service created it, so that every relying
//! party has fetched it; the oldest version that may sign does so at once, unless keys of our own sign until the
//! versions have been published for an hour.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    read_at: Option<Timestamp>,
    warning: Option<String>,
    /// Why the versions could not be read the last time.
    read_failure: Option<ConnectorError>,
    /// It has signed since, so that it answers again.
    has_signed: AtomicBool,
    /// Why the last signature failed; the same for the keys that are read after these.
    sign_failure: Arc<SignFailure>,
    /// The oldest version that the service signs with, if a refusal has shown since these were read that it is another.
    oldest_signing: AtomicI64,
    /// What the versions were read for again, at most once for each version that was refused.
    reread: tokio::sync::Mutex<Option<Reread>>,
}

/// The versions were read again because the service refused to sign with `refused`.
#[derive(Clone, Copy)]
struct Reread {
    refused: i64,
    /// The oldest version that the service signs with, if it is newer.
    oldest: Option<i64>,
}

#[derive(Default)]
struct SignFailure(Mutex<Option<ConnectorError>>);

impl SignFailure {
    fn lock(&self) -> MutexGuard<'_, Option<ConnectorError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The service answers again. Only the next signature shows whether it still refuses to sign.
    fn clear_unavailability(&self) {
        let mut failure = self.lock();
        if matches!(*failure, Some(ConnectorError::Unavailable { .. })) {
            *failure = None;
        }
    }
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
        let sign_failure = before.map(|keys| Arc::clone(&keys.sign_failure)).unwrap_or_default();
        let (oldest_signing, has_signed) = (AtomicI64::default(), AtomicBool::default());
        let reread = tokio::sync::Mutex::default();
        let read = service.versions().await.and_then(|found| parsed(service.name(), found));
        let keys = match read {
            Ok((versions, warning)) => {
                sign_failure.clear_unavailability();
                let (read_at, read_failure) = (Some(now), None);
                Self {
                    service,
                    versions,
                    read_at,
                    warning,
                    read_failure,
                    has_signed,
                    sign_failure,
                    oldest_signing,
                    reread,
                }
            }
            Err(failure) => Self {
                service,
                versions: before.map(|keys| keys.versions.clone()).unwrap_or_default(),
                read_at: before.and_then(|keys| keys.read_at),
                warning: before.and_then(|keys| keys.warning.clone()),
                read_failure: Some(failure),
                has_signed,
                sign_failure,
                oldest_signing,
                reread,
            },
        };
        Some(Arc::new(keys))
    }

    /// Logs failures of reading, new versions and warnings that `before` did not have. Called when these keys are in
    /// use.
    pub(super) fn log_changes(&self, before: Option<&Self>) {
        let signer = self.service.name();
        match (before.and_then(Self::read_problem), self.read_problem()) {
            (before, Some(cause)) if before != Some(cause) => {
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

    /// The JWT of these claims, signed with this version. If the service refuses because it signs only with newer ones
    /// since the versions were read, the oldest of these signs.
    ///
    /// # Errors
    /// The service does not answer or refuses; or the version that it signs with is not published yet.
    pub(super) async fn sign(
        &self,
        version: i64,
        typ: Option<&str>,
        claims_json: &[u8],
    ) -> Result<String, IssuerError> {
        let version =
            self.published_from(version.max(self.oldest_signing.load(Ordering::Relaxed)))?;
        let unsigned = version.key.prepare(typ, claims_json)?;
        let failure = match self.signature(version.number, unsigned.digest()).await {
            Ok(signature) => return Ok(version.key.complete(&unsigned, &signature)?),
            Err(failure) => failure,
        };
        let Some(oldest) = self.oldest_since_refusal(version.number, &failure).await else {
            return Err(IssuerError::upstream(&failure));
        };
        self.oldest_signing.fetch_max(oldest, Ordering::Relaxed);
        let newer = self.published_from(oldest)?;
        let unsigned = newer.key.prepare(typ, claims_json)?;
        let signature = self.signature(newer.number, unsigned.digest()).await;
        let signature = signature.map_err(|failure| IssuerError::upstream(&failure))?;
        Ok(newer.key.complete(&unsigned, &signature)?)
    }

    async fn signature(&self, version: i64, digest: &[u8]) -> Result<Vec<u8>, ConnectorError> {
        let signed = self.service.sign(version, digest).await;
        *self.sign_failure.lock() = signed.as_ref().err().cloned();
        self.has_signed.fetch_or(signed.is_ok(), Ordering::Relaxed);
        signed
    }

    /// The oldest published version from this number on.
    fn published_from(&self, number: i64) -> Result<&ExternalVersion, IssuerError> {
        self.versions.iter().find(|version| version.number >= number).ok_or_else(|| {
            IssuerError::Unavailable {
                what: self.service.name().to_owned(),
                cause: format!(
                    "it signs with version {number}, which is published here within 30 seconds"
                ),
            }
        })
    }

    /// The oldest version that the service signs with, if it refused to sign with an older one. Refusals of one version
    /// share one answer until the versions are read the next time, so that a service that refuses everything is not
    /// asked again for each token.
    async fn oldest_since_refusal(&self, refused: i64, failure: &ConnectorError) -> Option<i64> {
        if !matches!(failure, ConnectorError::Misconfigured { .. }) {
            return None;
        }
        let mut reread = self.reread.lock().await;
        if let Some(known) = reread.filter(|known| known.refused == refused) {
            return known.oldest;
        }
        let found = match self.service.versions().await {
            Ok(found) => Some(found),
            // It refuses everything, which is an answer too.
            Err(ConnectorError::Misconfigured { .. }) => None,
            Err(ConnectorError::Unavailable { .. }) => return None,
        };
        let oldest = found.and_then(|found| {
            let mut numbers = found.versions.iter().map(|version| version.number);
            numbers.find(|number| *number >= found.min_signing_version)
        });
        let oldest = oldest.filter(|oldest| *oldest > refused);
        *reread = Some(Reread { refused, oldest });
        oldest
    }

    /// Whether there is a version that signs.
    pub(super) fn can_sign(&self) -> bool {
        self.versions.iter().any(|version| version.may_sign)
    }

    /// Why the last signature failed, and why the versions could not be read the last time.
    pub(super) fn problem(&self) -> Option<String> {
        let signing = self.sign_failure.lock().as_ref().map(|failure| failure.cause().to_owned());
        let has_signed = self.has_signed.load(Ordering::Relaxed);
        let is_over = |failure: &&ConnectorError| {
            has_signed && matches!(failure, ConnectorError::Unavailable { .. })
        };
        let failure = self.read_failure.as_ref().filter(|failure| !is_over(failure));
        // One cause of both is named once.
        let signing = signing.filter(|cause| failure.is_none_or(|read| read.cause() != cause));
        let reading = failure.map(|failure| match self.read_at {
            Some(at) => format!("{} (its versions were last read at {at})", failure.cause()),
            None => failure.cause().to_owned(),
        });
        let causes: Vec<String> = [signing, reading].into_iter().flatten().collect();
        (!causes.is_empty()).then(|| format!("{}: {}", self.service.name(), causes.join("; ")))
    }

    fn read_problem(&self) -> Option<&str> {
        self.read_failure.as_ref().map(ConnectorError::cause)
    }

    /// Why no version is there that signs.
    pub(super) fn error(&self) -> IssuerError {
        match &self.read_failure {
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
