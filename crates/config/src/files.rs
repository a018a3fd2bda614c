//! Reading files. Those that a configuration names are registered where they are read, so that a reload can be caused by
//! a change of any of them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

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

/// Reads a UTF-8 file of at most `max_bytes`. The error does not contain the name of the file.
#[expect(clippy::naive_bytecount, reason = "only for an error message")]
pub fn read_text(path: &Path, max_bytes: usize) -> Result<String, String> {
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() > max_bytes {
        return Err(format!("is larger than {max_bytes} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to());
        let lines = before.unwrap_or_default().iter().filter(|byte| **byte == b'\n').count();
        format!("is not UTF-8 in line {}", lines + 1)
    })
}

/// The permission bits, if group or others have any.
#[cfg(unix)]
pub fn readable_by_others(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
pub fn readable_by_others(_path: &Path) -> Option<u32> {
    None
}
