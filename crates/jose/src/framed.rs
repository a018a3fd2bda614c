//! Several byte strings as one that can be read in one way only.

/// Each part preceded by its length in eight bytes, so `("ab", "c")` and `("a", "bc")` differ. What is derived
/// from or authenticated with a purpose must not be confused with another purpose by moving a boundary.
pub(crate) fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(parts.iter().map(|part| 8 + part.len()).sum());
    for part in parts {
        whole.extend_from_slice(&(part.len() as u64).to_be_bytes());
        whole.extend_from_slice(part);
    }
    whole
}
