//! Detects changed files by polling: files written in place, replaced by a rename, or the symbolic links of a
//! Kubernetes ConfigMap or Secret, which are replaced as a whole.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// The polling interval. A change is reported when two successive polls find the same state, so that a file is not read
/// while it is being written.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Device, inode, modification time in nanoseconds, size; `None` if the file does not exist.
type FileIdentity = Option<(u64, u64, i128, u64)>;

pub struct FileWatch {
    files: Vec<PathBuf>,
    in_use: Vec<FileIdentity>,
    last_look: Vec<FileIdentity>,
}

impl FileWatch {
    pub fn new(files: Vec<PathBuf>) -> Self {
        let now = identities(&files);
        Self { files, in_use: now.clone(), last_look: now }
    }

    /// Watches these files from now on. Files watched before keep their state, so that a change in between is detected.
    pub fn follow(&mut self, files: Vec<PathBuf>) {
        let known = |file: &PathBuf| {
            let position = self.files.iter().position(|other| other == file)?;
            self.in_use.get(position).copied()
        };
        let in_use = files.iter().map(|f| known(f).unwrap_or_else(|| identity(f))).collect();
        self.last_look = identities(&files);
        self.in_use = in_use;
        self.files = files;
    }

    /// Records the present state; called just before the files are read.
    pub fn take_up(&mut self) {
        self.in_use = identities(&self.files);
    }

    /// Polls; true if there is a new, settled change. Each change is reported once.
    pub fn has_changed(&mut self) -> bool {
        let now = identities(&self.files);
        let is_settled = now == self.last_look && now.iter().all(Option::is_some);
        let is_new = now != self.in_use;
        self.last_look.clone_from(&now);
        if is_settled && is_new {
            self.in_use = now;
            return true;
        }
        false
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::FileWatch;

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
        let mut watch = FileWatch::new(vec![at("config.yaml")]);
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
}
