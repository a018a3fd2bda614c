//! Unambiguous encoding of several byte strings as one.

/// Each part is preceded by its length in eight bytes, so `("ab", "c")` and `("a", "bc")` differ: a purpose
/// cannot be confused with another one by moving a boundary.
pub(crate) fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(parts.iter().map(|part| 8 + part.len()).sum());
    for part in parts {
        whole.extend_from_slice(&(part.len() as u64).to_be_bytes());
        whole.extend_from_slice(part);
    }
    whole
}
