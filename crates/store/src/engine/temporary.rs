//! A private folder that vanishes with its owner. Holds the file of [`crate::Location::Memory`].

use std::fs::{DirBuilder, remove_dir_all};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use countersign_core::ids::random_id;

pub(super) struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    pub(super) fn create() -> std::io::Result<Self> {
        let name = random_id().map_err(std::io::Error::other)?;
        let path = std::env::temp_dir().join(format!("countersign-{name}"));
        // Nobody else may look: the folder is shared with every user of the machine.
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(error) = remove_dir_all(&self.0) {
            tracing::debug!(folder = %self.0.display(), %error, "temporary database not removed");
        }
    }
}
