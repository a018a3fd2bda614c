//! Environment variables.

use std::ffi::OsString;

/// The value of a variable, if it is set.
#[expect(clippy::disallowed_methods, reason = "this function owns the program's environment")]
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
