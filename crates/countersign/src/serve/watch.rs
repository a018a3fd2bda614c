//! When the configuration is read again without a request.
//!
//! Changed files are detected by polling: files written in place, replaced by a rename, or the symbolic links of a
//! Kubernetes ConfigMap or Secret, which are replaced as a whole. A valid configuration that could not be applied, because
//! the database or the service of the signing key did not answer, is applied again until that succeeds or the files
//! change.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use countersign_core::Timestamp;

/// The polling interval. A change is reported when two successive polls find the same state, so that a file is not read
/// while it is being written.
pub const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Between two attempts to apply a configuration.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// Device, inode, modification time in nanoseconds, size; `None` if the file does not exist.
type FileIdentity = Option<(u64, u64, i128, u64)>;

/// The files to watch.
pub struct WatchedFiles {
    /// While one of these is missing, no change is reported: it is probably being replaced.
    pub required: Vec<PathBuf>,
    /// Files whose disappearance is a change too: a configuration may no longer name them.
    pub optional: Vec<PathBuf>,
}

pub struct FileWatch {
    files: Vec<PathBuf>,
    /// How many of `files`, from the first, must exist.
    required: usize,
    in_use: Vec<FileIdentity>,
    last_look: Vec<FileIdentity>,
}

impl FileWatch {
    pub fn new(files: WatchedFiles) -> Self {
        let (files, required) = files.into_list();
        let now = identities(&files);
        Self { files, required, in_use: now.clone(), last_look: now }
    }

    /// Watches these files from now on. Files watched before keep their state, so that a change in between is detected.
    pub fn follow(&mut self, files: WatchedFiles) {
        let (files, required) = files.into_list();
        let known = |file: &PathBuf| {
            let position = self.files.iter().position(|other| other == file)?;
            self.in_use.get(position).copied()
        };
        let in_use = files.iter().map(|f| known(f).unwrap_or_else(|| identity(f))).collect();
        self.last_look = identities(&files);
        self.in_use = in_use;
        self.files = files;
        self.required = required;
    }

    /// Records the present state; called just before the files are read.
    pub fn take_up(&mut self) {
        self.in_use = identities(&self.files);
    }

    /// Polls; true if there is a new, settled change. Each change is reported once.
    pub fn has_changed(&mut self) -> bool {
        let now = identities(&self.files);
        let is_settled =
            now == self.last_look && now.iter().take(self.required).all(Option::is_some);
        let is_new = now != self.in_use;
        self.last_look.clone_from(&now);
        if is_settled && is_new {
            self.in_use = now;
            return true;
        }
        false
    }
}

impl WatchedFiles {
    /// All files, and the number of required ones, which come first.
    fn into_list(self) -> (Vec<PathBuf>, usize) {
        let required = self.required.len();
        let mut files = self.required;
        for file in self.optional {
            if !files.contains(&file) {
                files.push(file);
            }
        }
        (files, required)
    }
}

fn identities(files: &[PathBuf]) -> Vec<FileIdentity> {
    files.iter().map(identity).collect()
}

fn identity(file: &PathBuf) -> FileIdentity {
    let found = fs::metadata(file).ok()?;
    let changed = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
    Some((found.dev(), found.ino(), changed, found.size()))
}

/// A reload that is to be repeated.
pub struct Retry {
    /// What caused the first attempt, and who.
    pub reason: String,
    pub actor: String,
    /// Why the last attempt failed.
    pub problem: String,
    pub tried_at: Timestamp,
}

impl Retry {
    /// True 30 seconds after the last attempt, and when the clock was set back before it.
    pub fn is_due(&self, now: Timestamp) -> bool {
        now < self.tried_at || now.since(self.tried_at) >= RETRY_INTERVAL
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use countersign_core::Timestamp;

    use super::{FileWatch, Retry, WatchedFiles};

    #[test]
    fn a_config_map_that_is_swapped_is_noticed_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for version in ["v1", "v2", "v3"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("config.yaml"), version).unwrap();
        }
        symlink("v1", at("..data")).unwrap();
        symlink("..data/config.yaml", at("config.yaml")).unwrap();
        let mut watch = FileWatch::new(WatchedFiles {
            required: vec![at("config.yaml")],
            optional: Vec::new(),
        });
        assert!(!watch.has_changed());
        for version in ["v2", "v3"] {
            symlink(version, at("..data_tmp")).unwrap();
            fs::rename(at("..data_tmp"), at("..data")).unwrap();
            assert!(!watch.has_changed(), "it may still be changing");
            assert!(watch.has_changed());
            assert!(!watch.has_changed(), "once");
        }
        fs::remove_file(at("..data")).unwrap();
        assert!(
            !watch.has_changed() && !watch.has_changed(),
            "a file that is gone is no configuration"
        );
    }

    #[test]
    fn an_optional_file_is_noticed_when_it_appears_changes_and_disappears() {
        let dir = tempfile::tempdir().unwrap();
        let (config, texts) = (dir.path().join("config.yaml"), dir.path().join("texts.yaml"));
        fs::write(&config, "issuer").unwrap();
        let files = WatchedFiles { required: vec![config], optional: vec![texts.clone()] };
        let mut watch = FileWatch::new(files);
        for content in [Some("a"), Some("another"), None] {
            match content {
                Some(content) => fs::write(&texts, content).unwrap(),
                None => fs::remove_file(&texts).unwrap(),
            }
            assert!(!watch.has_changed(), "{content:?} may still be changing");
            assert!(watch.has_changed(), "{content:?}");
            assert!(!watch.has_changed(), "{content:?} once");
        }
    }

    #[test]
    fn a_retry_is_due_after_30_seconds_whatever_the_clock_does() {
        let tried_at = Timestamp::from_millis(1_000_000);
        let retry = Retry {
            reason: "SIGHUP".to_owned(),
            actor: "system".to_owned(),
            problem: "the database does not answer".to_owned(),
            tried_at,
        };
        assert!(!retry.is_due(tried_at));
        assert!(!retry.is_due(tried_at + Duration::from_secs(29)));
        assert!(retry.is_due(tried_at + Duration::from_secs(30)));
        assert!(retry.is_due(tried_at - Duration::from_hours(1)), "the clock was set back");
    }
}
