//! The kubeconfig file: which one is used, kubectl's lock during a change, and replacing it atomically.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cache::replace;
use crate::error::Error;

/// How long to wait for the lock of another program; kubectl holds it for milliseconds.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// `--kubeconfig`, otherwise the first file of `KUBECONFIG`, otherwise `~/.kube/config`.
pub fn path(option: Option<&Path>) -> Result<PathBuf, Error> {
    if let Some(file) = option {
        return Ok(file.to_owned());
    }
    if let Some(list) = crate::environment_variable("KUBECONFIG")
        && let Some(first) = std::env::split_paths(&list).find(|path| !path.as_os_str().is_empty())
    {
        return Ok(first);
    }
    let home = crate::environment_variable("HOME")
        .ok_or_else(|| Error::Local("HOME is not set; use --kubeconfig".to_owned()))?;
    Ok(PathBuf::from(home).join(".kube/config"))
}

/// Replaces the file, or the target of a symbolic link, by the result of `edit`. The mode is preserved; a missing file
/// counts as empty and is created with mode 0600. Nothing is written if the text is unchanged.
pub async fn edit(
    file: &Path,
    edit: impl FnOnce(&str) -> Result<String, Error>,
) -> Result<(), Error> {
    let local = |cause: std::io::Error| Error::Local(format!("{}: {cause}", file.display()));
    let target = match fs::canonicalize(file) {
        Ok(target) => target,
        Err(cause) if cause.kind() == ErrorKind::NotFound => file.to_owned(),
        Err(cause) => return Err(local(cause)),
    };
    if let Some(directory) = target.parent() {
        fs::create_dir_all(directory).map_err(local)?;
    }
    // Like kubectl, which locks the name that it was given, also if that is a symbolic link.
    let _lock = Lock::acquire(file).await?;
    let text = match fs::read_to_string(&target) {
        Ok(text) => text,
        Err(cause) if cause.kind() == ErrorKind::NotFound => String::new(),
        Err(cause) => return Err(local(cause)),
    };
    let edited = edit(&text)?;
    if edited == text {
        return Ok(());
    }
    replace(&target, edited.as_bytes(), fs::metadata(&target).ok().as_ref()).map_err(local)
}

/// The file FILE.lock, which kubectl creates while it changes FILE (client-go, `clientcmd`).
struct Lock(PathBuf);

impl Lock {
    async fn acquire(file: &Path) -> Result<Self, Error> {
        let mut path = file.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let mut waited = Duration::ZERO;
        loop {
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(_) => return Ok(Self(path)),
                Err(cause) if cause.kind() == ErrorKind::AlreadyExists && waited < LOCK_TIMEOUT => {
                    tokio::time::sleep(LOCK_POLL_INTERVAL).await;
                    waited += LOCK_POLL_INTERVAL;
                }
                Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {
                    return Err(Error::Local(format!(
                        "another program is changing the kubeconfig; if none is, delete {}",
                        path.display()
                    )));
                }
                Err(cause) => {
                    return Err(Error::Local(format!(
                        "the kubeconfig is locked by a file beside it, as kubectl does, and {} cannot be created: {cause}",
                        path.display()
                    )));
                }
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::edit;

    #[tokio::test(start_paused = true)]
    async fn the_lock_of_kubectl_is_respected_also_beside_a_symbolic_link() {
        let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (link, target) = (home.path().join("config"), other.path().join("kubeconfig"));
        fs::write(&target, "old").unwrap();
        symlink(&target, &link).unwrap();
        let lock = home.path().join("config.lock");
        fs::write(&lock, "").unwrap();
        assert!(edit(&link, |_| Ok("new".to_owned())).await.is_err(), "kubectl changes it");
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");

        fs::remove_file(&lock).unwrap();
        edit(&link, |_| Ok("new".to_owned())).await.unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        assert!(link.is_symlink() && !lock.exists());
    }
}
