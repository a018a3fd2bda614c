//! The keys with which an issuer is built: the root key, and the signing key that another service keeps.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use countersign_core::connector::ConnectorError;
use countersign_core::{ExternalKeyVersions, ExternalSigner, Secret};
use countersign_jose::RootKeys;
use countersign_store::Store;

use crate::config;

/// The root key: from the configuration, or from the file beside the database, created at the first start.
pub async fn load_root_key(keys: &config::RootKeys, store: &Store) -> Result<RootKeys, String> {
    match keys {
        config::RootKeys::None => Ok(RootKeys::none()),
        config::RootKeys::Keys(keys) => RootKeys::new(keys).map_err(|e| e.to_string()),
        config::RootKeys::Beside(file) => {
            let key = match read_root_key(file)? {
                Some(key) => key,
                None => first_root_key(file, store).await?,
            };
            RootKeys::new(&[key]).map_err(|e| format!("{}: {e}", file.display()))
        }
    }
}

fn read_root_key(file: &Path) -> Result<Option<Secret>, String> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(Secret::new(text.trim()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("the root key {}: {error}", file.display())),
    }
}

/// Creates the root key of an empty database. If the database has keys, it was sealed under a root key that is missing,
/// and creating a new one would conceal that.
async fn first_root_key(file: &Path, store: &Store) -> Result<Secret, String> {
    let keys = store.signing_keys().await.map_err(|e| e.to_string())?;
    if !keys.is_empty() {
        return Err(format!(
            "the root key {} is missing, and the database beside it was sealed under it: put it back",
            file.display()
        ));
    }
    let key = RootKeys::generate().map_err(|e| e.to_string())?;
    match write_new(file, &key) {
        Ok(()) => Ok(key),
        // Another process created it first.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            read_root_key(file)?.ok_or_else(|| format!("the root key {} vanished", file.display()))
        }
        Err(error) => Err(format!("the root key {} cannot be made: {error}", file.display())),
    }
}

/// Atomic: writes a temporary file and links it to its name, which fails if the name exists.
fn write_new(file: &Path, key: &Secret) -> io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let beside = Path::new(&name);
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    let written = writeln!(out, "{}", key.expose()).and_then(|()| out.sync_all());
    let linked = written.and_then(|()| fs::hard_link(beside, file));
    fs::remove_file(beside)?;
    linked
}

/// The versions of a signing key that another service keeps, as last read, with the name of the signer. Outlives reloads:
/// one that does not change `signer` must not fail because that service does not answer at that moment.
#[derive(Debug, Default)]
pub struct SignerVersions(Mutex<Option<(String, ExternalKeyVersions)>>);

impl SignerVersions {
    /// The same signer, whose versions are kept here whenever they are read. With `is_unchanged`, the signer of the
    /// configuration in use, the first request returns the kept versions if the service does not answer or refuses.
    /// Later requests return its failure: the keys are read again within 30 seconds.
    pub fn keeping_versions_of(
        self: &Arc<Self>,
        service: Arc<dyn ExternalSigner>,
        is_unchanged: bool,
    ) -> Arc<dyn ExternalSigner> {
        let may_return_kept = AtomicBool::new(is_unchanged);
        Arc::new(KeepingSigner { service, kept: Arc::clone(self), may_return_kept })
    }

    fn keep(&self, signer: &str, versions: &ExternalKeyVersions) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some((signer.to_owned(), versions.clone()));
    }

    fn of(&self, signer: &str) -> Option<ExternalKeyVersions> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|(name, _)| name == signer).map(|(_, versions)| versions.clone())
    }
}

#[derive(Debug)]
struct KeepingSigner {
    service: Arc<dyn ExternalSigner>,
    kept: Arc<SignerVersions>,
    may_return_kept: AtomicBool,
}

#[async_trait]
impl ExternalSigner for KeepingSigner {
    fn name(&self) -> &str {
        self.service.name()
    }

    fn rotation(&self) -> &str {
        self.service.rotation()
    }

    async fn versions(&self) -> Result<ExternalKeyVersions, ConnectorError> {
        let may_return_kept = self.may_return_kept.swap(false, Ordering::Relaxed);
        match self.service.versions().await {
            Ok(versions) => {
                self.kept.keep(self.name(), &versions);
                Ok(versions)
            }
            Err(error) => match self.kept.of(self.name()).filter(|_| may_return_kept) {
                Some(versions) => {
                    tracing::warn!(
                        signer = self.name(),
                        cause = error.cause(),
                        "the signing key could not be read: the versions that are known stay in use"
                    );
                    Ok(versions)
                }
                None => Err(error),
            },
        }
    }

    async fn sign(&self, version: i64, digest: &[u8]) -> Result<Vec<u8>, ConnectorError> {
        self.service.sign(version, digest).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;
    use countersign_core::connector::ConnectorError;
    use countersign_core::{ExternalKeyVersions, ExternalSigner};

    use super::SignerVersions;

    #[derive(Debug, Default)]
    struct Vault {
        is_down: AtomicBool,
    }

    #[async_trait]
    impl ExternalSigner for Vault {
        fn name(&self) -> &'static str {
            "transit/keys/dex"
        }

        fn rotation(&self) -> &'static str {
            "rotate"
        }

        async fn versions(&self) -> Result<ExternalKeyVersions, ConnectorError> {
            match self.is_down.load(Ordering::Relaxed) {
                true => Err(ConnectorError::Unavailable {
                    upstream: "Vault".to_owned(),
                    cause: "it is sealed".to_owned(),
                }),
                false => Ok(ExternalKeyVersions {
                    versions: Vec::new(),
                    min_signing_version: 7,
                    warning: None,
                }),
            }
        }

        async fn sign(&self, _: i64, _: &[u8]) -> Result<Vec<u8>, ConnectorError> {
            Ok(Vec::new())
        }
    }

    #[tokio::test]
    async fn only_the_first_request_of_an_unchanged_signer_returns_the_kept_versions() {
        let (kept, vault) = (Arc::new(SignerVersions::default()), Arc::new(Vault::default()));
        let signer = |is_unchanged| kept.keeping_versions_of(vault.clone(), is_unchanged);
        vault.is_down.store(true, Ordering::Relaxed);
        assert!(signer(true).versions().await.is_err(), "nothing is kept yet");
        vault.is_down.store(false, Ordering::Relaxed);
        assert!(signer(false).versions().await.is_ok());
        vault.is_down.store(true, Ordering::Relaxed);
        let unchanged = signer(true);
        assert_eq!(unchanged.versions().await.unwrap().min_signing_version, 7);
        assert!(unchanged.versions().await.is_err(), "its failure is reported from then on");
        assert!(signer(false).versions().await.is_err(), "a changed signer has to answer");
    }
}
