//! The files that a configuration names. They are registered where they are read, so that a reload can be caused by a
//! change of any of them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::read_text;

/// Reads files, and keeps their paths.
#[derive(Debug, Default)]
pub struct FilesRead {
    read: RefCell<BTreeSet<PathBuf>>,
    unreadable: RefCell<BTreeSet<PathBuf>>,
}

impl FilesRead {
    /// The content.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        self.registered(path.as_ref(), fs::read(path.as_ref()))
    }

    /// As [`read_text`].
    pub fn read_text(&self, path: &Path, max_bytes: usize) -> Result<String, String> {
        self.registered(path, read_text(path, max_bytes))
    }

    /// `Err` if the file cannot be opened. For a file that is read when the configuration is applied.
    pub fn check_readable(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.registered(path.as_ref(), File::open(path.as_ref()).map(drop))
    }

    /// The files that could be read, in alphabetical order.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.read.borrow().iter().cloned().collect()
    }

    /// The files that were to be read, whether they could be or not.
    pub fn named(&self) -> Vec<PathBuf> {
        self.read.borrow().union(&self.unreadable.borrow()).cloned().collect()
    }

    fn registered<T, E>(&self, path: &Path, result: Result<T, E>) -> Result<T, E> {
        let paths = if result.is_ok() { &self.read } else { &self.unreadable };
        paths.borrow_mut().insert(path.to_owned());
        result
    }
}
