//! The files that a configuration names. They are registered where they are read, so that a reload can be caused by a
//! change of any of them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::read_text;

/// Reads files, and keeps the paths of those that could be read.
#[derive(Debug, Default)]
pub struct FilesRead(RefCell<BTreeSet<PathBuf>>);

impl FilesRead {
    /// The content.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let content = fs::read(path.as_ref())?;
        self.register(path.as_ref());
        Ok(content)
    }

    /// As [`read_text`].
    pub fn read_text(&self, path: &Path, max_bytes: usize) -> Result<String, String> {
        let text = read_text(path, max_bytes)?;
        self.register(path);
        Ok(text)
    }

    /// `Err` if the file cannot be opened. For a file that is read when the configuration is applied.
    pub fn check_readable(&self, path: impl AsRef<Path>) -> io::Result<()> {
        File::open(path.as_ref())?;
        self.register(path.as_ref());
        Ok(())
    }

    /// The paths in alphabetical order.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.borrow().iter().cloned().collect()
    }

    fn register(&self, path: &Path) {
        self.0.borrow_mut().insert(path.to_owned());
    }
}
