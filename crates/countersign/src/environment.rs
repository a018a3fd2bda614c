//! Environment variables. Other modules read them through these functions, so that tests can pass their own.

/// The value of a variable; `None` when it is not set or not UTF-8.
#[expect(clippy::disallowed_methods, reason = "this function owns the program's environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// As [`variable`]; an empty value counts as unset.
pub fn non_empty_variable(name: &str) -> Option<String> {
    variable(name).filter(|value| !value.is_empty())
}
