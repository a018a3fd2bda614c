//! The files of an open SQLite database: that they are still the ones under their names.
//!
//! A file that is deleted or replaced while it is open stays readable and writable for processes that have it open, and is gone
//! when they close it: writes would be confirmed and lost. So every transaction looks first and last.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::StoreError;

/// Device and inode.
type FileId = (u64, u64);

/// Cheap to clone; all clones are one.
#[derive(Clone)]
pub(super) struct SqliteFile(Arc<Inner>);

struct Inner {
    database: PathBuf,
    database_id: Option<FileId>,
    wal: PathBuf,
    /// Known from the first look at which the file is there.
    wal_id: OnceLock<FileId>,
}

impl SqliteFile {
    /// Call it when the database is open.
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
                // Another look may have been first, and seen the same.
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
        // Renamed over the old one, which is kept open so that its inode is not used again.
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
