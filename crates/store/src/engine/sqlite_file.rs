//! Checks that the files of an open SQLite database are still those at their paths.
//!
//! A file that is deleted or replaced while open remains readable and writable for processes that have it open, and
//! disappears when they close it: writes would be confirmed and lost. Therefore every transaction checks at its
//! beginning and end.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::StoreError;

/// Device and inode.
type FileId = (u64, u64);

/// Clones share the same state.
#[derive(Clone)]
pub(super) struct SqliteFile(Arc<Inner>);

struct Inner {
    database: PathBuf,
    database_id: Option<FileId>,
    wal: PathBuf,
    /// Set by the first check that finds the file.
    wal_id: OnceLock<FileId>,
}

impl SqliteFile {
    /// Must be called while the database is open.
    pub(super) fn new(database: &Path) -> Self {
        let mut wal = database.as_os_str().to_owned();
        wal.push("-wal");
        Self(Arc::new(Inner {
            database: database.to_owned(),
            database_id: file_id(database),
            wal: PathBuf::from(wal),
            wal_id: OnceLock::new(),
        }))
    }

    /// An error when the database or its write-ahead log has been deleted or replaced.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let Inner { database, database_id, wal, wal_id } = &*self.0;
        if file_id(database) != *database_id {
            return Err(replaced(database));
        }
        match (file_id(wal), wal_id.get()) {
            (Some(found), None) => {
                // Another thread may have set it first, to the same value.
                let _known = wal_id.set(found);
                Ok(())
            }
            (found, Some(known)) if found != Some(*known) => Err(replaced(wal)),
            _ => Ok(()),
        }
    }
}

fn file_id(file: &Path) -> Option<FileId> {
    fs::metadata(file).ok().map(|found| (found.dev(), found.ino()))
}

fn replaced(file: &Path) -> StoreError {
    StoreError::Unavailable(format!(
        "{} was deleted or replaced while it was open: nothing is written any more; put the files in order and restart",
        file.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::SqliteFile;

    #[test]
    fn a_file_that_is_deleted_or_replaced_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (database, wal) = (folder.path().join("a.db"), folder.path().join("a.db-wal"));
        fs::write(&database, "1").unwrap();
        let file = SqliteFile::new(&database);
        assert!(file.check().is_ok(), "without a log");
        fs::write(&wal, "1").unwrap();
        assert!(file.check().is_ok(), "the log is made by the first write");
        fs::write(&database, "2").unwrap();
        assert!(file.check().is_ok(), "its content may change");
        // Renamed over the old file, which is kept open so that its inode is not reused.
        let old = fs::File::open(&wal).unwrap();
        fs::write(folder.path().join("new"), "1").unwrap();
        fs::rename(folder.path().join("new"), &wal).unwrap();
        assert!(file.check().unwrap_err().to_string().contains("a.db-wal"));
        drop(old);
        let file = SqliteFile::new(&database);
        assert!(file.check().is_ok());
        fs::remove_file(&database).unwrap();
        assert!(file.check().unwrap_err().to_string().contains("a.db was deleted"));
    }
}
