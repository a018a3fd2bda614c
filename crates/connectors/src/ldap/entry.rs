//! An entry as it came: attributes in any case, values that may be anything.

use ldap3::asn1::{PL, StructureTag};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub dn: String,
    attributes: Vec<(String, Vec<Vec<u8>>)>,
}

/// What an attribute has to say where one text is needed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scalar<'a> {
    Text(&'a str),
    Missing,
    /// Not UTF-8: it cannot stand in a token.
    Binary,
}

impl Entry {
    /// `None` when it is not a `SearchResultEntry` (RFC 4511 section 4.5.2) or its name is not text.
    pub fn from_tag(tag: StructureTag) -> Option<Self> {
        let mut parts = constructed(tag)?.into_iter();
        let dn = String::from_utf8(primitive(parts.next()?)?).ok()?;
        let mut attributes = Vec::new();
        for attribute in constructed(parts.next()?)? {
            let mut parts = constructed(attribute)?.into_iter();
            let name = String::from_utf8(primitive(parts.next()?)?).ok()?;
            let values: Option<Vec<_>> =
                constructed(parts.next()?)?.into_iter().map(primitive).collect();
            attributes.push((name, values?));
        }
        Some(Self { dn, attributes })
    }

    /// Every value of an attribute, or the one name for the pseudo attribute `DN`.
    pub fn values(&self, attribute: &str) -> Vec<&[u8]> {
        if super::config::is_dn(attribute) {
            return vec![self.dn.as_bytes()];
        }
        let matching =
            self.attributes.iter().filter(|(name, _)| name.eq_ignore_ascii_case(attribute));
        matching.flat_map(|(_, values)| values.iter().map(Vec::as_slice)).collect()
    }

    /// The first value; an empty one counts as missing.
    pub fn scalar(&self, attribute: &str) -> Scalar<'_> {
        if super::config::is_dn(attribute) {
            return Scalar::Text(&self.dn);
        }
        let matching =
            self.attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
        match matching.and_then(|(_, values)| values.first()).map(Vec::as_slice) {
            None | Some([]) => Scalar::Missing,
            Some(bytes) => std::str::from_utf8(bytes).map_or(Scalar::Binary, Scalar::Text),
        }
    }

    /// Active Directory gives long attributes in parts (`memberOf;range=0-1499`).
    pub fn is_partial(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|(name, _)| {
            let (base, options) = name.split_once(';').unwrap_or((name, ""));
            base.eq_ignore_ascii_case(attribute)
                && options.to_ascii_lowercase().starts_with("range=")
        })
    }

    /// Its size in memory, roughly.
    pub fn size_bytes(&self) -> usize {
        let values = self.attributes.iter().flat_map(|(_, values)| values);
        self.dn.len() + values.map(|value| value.len() + 24).sum::<usize>()
    }

    #[cfg(test)]
    pub fn of(dn: &str, attributes: &[(&str, &[&[u8]])]) -> Self {
        let attributes = attributes
            .iter()
            .map(|(name, values)| ((*name).to_owned(), values.iter().map(|v| v.to_vec()).collect()))
            .collect();
        Self { dn: dn.to_owned(), attributes }
    }
}

fn constructed(tag: StructureTag) -> Option<Vec<StructureTag>> {
    match tag.payload {
        PL::C(parts) => Some(parts),
        PL::P(_) => None,
    }
}

fn primitive(tag: StructureTag) -> Option<Vec<u8>> {
    match tag.payload {
        PL::P(bytes) => Some(bytes),
        PL::C(_) => None,
    }
}

/// For telling whether two names are one: case and the spaces around separators do not count
/// (RFC 4518). Escapes are compared as they are written.
pub(super) fn same_dn(a: &str, b: &str) -> bool {
    folded(a) == folded(b)
}

pub(super) fn folded(dn: &str) -> String {
    let mut kept = String::with_capacity(dn.len());
    let mut escaped = false;
    let mut chars = dn.chars().peekable();
    while let Some(c) = chars.next() {
        let after_separator = kept.ends_with([',', '=', '+']) || kept.is_empty();
        let ahead_of_separator = matches!(chars.peek(), None | Some(' ' | ',' | '=' | '+'));
        if c == ' ' && !escaped && (after_separator || ahead_of_separator) {
            continue;
        }
        escaped = c == '\\' && !escaped;
        kept.extend(c.to_lowercase());
    }
    kept
}

#[cfg(test)]
mod tests;
