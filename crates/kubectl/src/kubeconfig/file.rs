//! The kubeconfig file: which one is used, kubectl's lock during a change, and replacing it atomically.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cache::{replace, temporary};
use crate::error::Error;

/// How long to wait for the lock of another program; kubectl holds it for milliseconds.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The file to write, and the others that kubectl merges with it.
pub struct Files {
    pub target: PathBuf,
    /// Those of `KUBECONFIG` that kubectl reads after it.
    pub hidden: Vec<PathBuf>,
    /// `false`: kubectl reads the file with `--kubeconfig` only.
    pub is_default: bool,
}

/// `--kubeconfig`; otherwise, as kubectl writes, the first file of `KUBECONFIG` that exists, or its last one; otherwise
/// `~/.kube/config`.
pub fn files(option: Option<&Path>) -> Result<Files, Error> {
    let list = crate::environment_variable("KUBECONFIG").unwrap_or_default();
    let merged = std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty());
    let home = crate::environment_variable("HOME").map(PathBuf::from);
    chosen(option, merged.collect(), home)
        .ok_or_else(|| Error::Local("HOME is not set; use --kubeconfig".to_owned()))
}

fn chosen(option: Option<&Path>, merged: Vec<PathBuf>, home: Option<PathBuf>) -> Option<Files> {
    let merged = match (merged.is_empty(), home) {
        (true, Some(home)) => vec![home.join(".kube/config")],
        _ => merged,
    };
    if let Some(target) = option {
        let is_default = matches!(merged.as_slice(), [only] if only == target);
        return Some(Files { target: target.to_owned(), hidden: Vec::new(), is_default });
    }
    let index = merged.iter().position(|file| file.exists());
    let index = index.unwrap_or(merged.len().saturating_sub(1));
    let hidden = merged.iter().skip(index + 1).cloned().collect();
    Some(Files { target: merged.get(index)?.clone(), hidden, is_default: true })
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
        // It may be a symbolic link to a file that does not exist yet.
        Err(cause) if cause.kind() == ErrorKind::NotFound => match fs::read_link(file) {
            Ok(link) => file.parent().unwrap_or(Path::new("")).join(link),
            Err(_) => file.to_owned(),
        },
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
    let metadata = fs::metadata(&target).ok();
    if metadata.as_ref().is_some_and(|metadata| metadata.permissions().readonly()) {
        return Err(Error::Local(format!(
            "{} is read-only; make it writable, or name another file with --kubeconfig",
            target.display()
        )));
    }
    match replace(&target, edited.as_bytes(), metadata.as_ref()) {
        // A file that is mounted into a container cannot be replaced, only written.
        Err(cause) if cause.kind() == ErrorKind::ResourceBusy => {
            let _ = fs::remove_file(temporary(&target));
            fs::write(&target, edited).map_err(local)
        }
        result => result.map_err(local),
    }
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
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::{Path, PathBuf};

    use super::{chosen, edit};

    /// The rule of kubectl (client-go, `clientcmd.PathOptions`).
    #[test]
    fn the_file_is_the_one_that_kubectl_would_write() {
        let folder = tempfile::tempdir().unwrap();
        let [absent, first, second] =
            ["absent", "first", "second"].map(|name| folder.path().join(name));
        fs::write(&first, "").unwrap();
        fs::write(&second, "").unwrap();
        let home = Some(PathBuf::from("/home/alice"));
        let of = |option: Option<&Path>, list: &[&PathBuf]| {
            let list = list.iter().map(|path| (*path).clone()).collect();
            let files = chosen(option, list, home.clone()).unwrap();
            (files.target, files.hidden, files.is_default)
        };
        let default = PathBuf::from("/home/alice/.kube/config");
        assert_eq!(of(None, &[]), (default.clone(), vec![], true));
        let list = [&absent, &first, &second];
        assert_eq!(of(None, &list), (first.clone(), vec![second.clone()], true));
        assert_eq!(of(None, &[&absent]), (absent.clone(), vec![], true));
        // kubectl does not read it by itself.
        assert_eq!(of(Some(&second), &[]), (second.clone(), vec![], false));
        assert_eq!(of(Some(&default), &[]), (default.clone(), vec![], true));
        assert!(chosen(None, Vec::new(), None).is_none());
    }

    #[tokio::test]
    async fn a_read_only_file_and_files_with_similar_names_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (file, hers) = (folder.path().join("config"), folder.path().join("config.new"));
        fs::write(&file, "old").unwrap();
        fs::write(&hers, "a copy of her own").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o440)).unwrap();
        let refused = edit(&file, |_| Ok("new".to_owned())).await.unwrap_err();
        assert!(refused.to_string().contains("is read-only"), "{refused}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");

        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        edit(&file, |_| Ok("new".to_owned())).await.unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_to_string(&hers).unwrap(), "a copy of her own");
    }

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

        fs::remove_file(&target).unwrap();
        edit(&link, |_| Ok("new".to_owned())).await.unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new", "the link led to no file");
        assert!(link.is_symlink());
    }
}
