//! Environment variables. Other modules get them from here, so that a test can pass its own.

/// The value of a variable; `None` when it is not set or not UTF-8.
#[expect(clippy::disallowed_methods, reason = "this function owns the program's environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The same; an empty value counts as one that is not set.
pub fn non_empty_variable(name: &str) -> Option<String> {
    variable(name).filter(|value| !value.is_empty())
}
