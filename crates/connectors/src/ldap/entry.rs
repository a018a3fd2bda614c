//! An entry of a search result. Attribute names are compared case-insensitively, and values may be binary. Active
//! Directory's binary identifiers are converted to their usual text form.

use std::borrow::Cow;
use std::fmt::Write;

use ldap3::asn1::{PL, StructureTag};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub dn: String,
    attributes: Vec<(String, Vec<Vec<u8>>)>,
}

/// The value of an attribute where a single text is required.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scalar<'a> {
    Text(Cow<'a, str>),
    Missing,
    /// Not UTF-8, so it cannot be a claim.
    Binary,
}

/// Values `first` to `last` of an attribute; `last` is `None` if the range extends to the end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ValueRange<'a> {
    pub values: Vec<&'a [u8]>,
    pub first: usize,
    pub last: Option<usize>,
}

impl Entry {
    /// `None` if it is not a `SearchResultEntry` (RFC 4511 section 4.5.2) or its DN is not UTF-8.
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

    /// All values of an attribute; for the pseudo attribute `DN` the entry's DN.
    pub fn values(&self, attribute: &str) -> Vec<&[u8]> {
        if is_dn(attribute) {
            return vec![self.dn.as_bytes()];
        }
        let matching =
            self.attributes.iter().filter(|(name, _)| name.eq_ignore_ascii_case(attribute));
        matching.flat_map(|(_, values)| values.iter().map(Vec::as_slice)).collect()
    }

    /// The first value; an empty value counts as missing.
    pub fn scalar(&self, attribute: &str) -> Scalar<'_> {
        if is_dn(attribute) {
            return Scalar::Text(Cow::Borrowed(&self.dn));
        }
        let matching =
            self.attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
        match matching.and_then(|(_, values)| values.first()).map(Vec::as_slice) {
            None | Some([]) => Scalar::Missing,
            Some(bytes) => {
                match (binary_identifier(attribute, bytes), std::str::from_utf8(bytes)) {
                    (Some(text), _) => Scalar::Text(Cow::Owned(text)),
                    (None, Ok(text)) => Scalar::Text(Cow::Borrowed(text)),
                    (None, Err(_)) => Scalar::Binary,
                }
            }
        }
    }

    /// A range of an attribute's values: Active Directory returns at most 1500 values at once, as
    /// `memberOf;range=0-1499` (MS-ADTS section 3.1.1.3.1.3.3). `None` if the attribute is complete or absent.
    pub fn range(&self, attribute: &str) -> Option<ValueRange<'_>> {
        self.attributes.iter().find_map(|(name, values)| {
            let (base, options) = name.split_once(';')?;
            if !base.eq_ignore_ascii_case(attribute) {
                return None;
            }
            let options = options.to_ascii_lowercase();
            let (first, last) = options.strip_prefix("range=")?.split_once('-')?;
            Some(ValueRange {
                values: values.iter().map(Vec::as_slice).collect(),
                first: first.parse().ok()?,
                // `*` means to the end; an invalid number does not.
                last: (last != "*").then(|| last.parse().unwrap_or(usize::MAX)),
            })
        })
    }

    /// Approximate size in memory.
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

/// The text form of `objectGUID` and `objectSid`, which Active Directory returns as bytes (MS-DTYP sections 2.3.4.2 and
/// 2.4.2.2). `None` for other attributes, and for values that are text already.
fn binary_identifier(attribute: &str, value: &[u8]) -> Option<String> {
    if attribute.eq_ignore_ascii_case("objectGUID") {
        return guid_text(value);
    }
    if attribute.eq_ignore_ascii_case("objectSid") {
        return sid_text(value);
    }
    None
}

/// The value to compare the attribute with in a filter: for a GUID its bytes; for a SID the text, which Active
/// Directory accepts.
pub(super) fn filter_value(attribute: &str, text: &str) -> Vec<u8> {
    let guid = attribute.eq_ignore_ascii_case("objectGUID").then(|| guid_bytes(text)).flatten();
    guid.map_or_else(|| text.as_bytes().to_vec(), Vec::from)
}

/// Byte order of a GUID's text form: the first three groups are little-endian.
const GUID_ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

fn guid_text(value: &[u8]) -> Option<String> {
    let value: &[u8; 16] = value.try_into().ok()?;
    let mut text = String::with_capacity(36);
    for (position, index) in GUID_ORDER.iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        write!(text, "{:02x}", value.get(*index)?).ok()?;
    }
    Some(text)
}

fn guid_bytes(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if digits.len() != 32 || !digits.is_ascii() {
        return None;
    }
    let mut value = [0; 16];
    for (position, index) in GUID_ORDER.iter().enumerate() {
        let pair = digits.get(position * 2..position * 2 + 2)?;
        *value.get_mut(*index)? = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(value)
}

/// `S-1-5-21-…`: revision, number of sub-authorities, authority (big-endian), sub-authorities (little-endian).
#[expect(clippy::many_single_char_names, reason = "the bytes of one number")]
fn sid_text(value: &[u8]) -> Option<String> {
    let (head, rest) = value.split_first_chunk::<8>()?;
    let [1, count, a, b, c, d, e, f] = *head else { return None };
    if rest.len() != usize::from(count) * 4 || count > 15 {
        return None;
    }
    let authority = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    let mut text = format!("S-1-{authority}");
    for part in rest.chunks_exact(4) {
        write!(text, "-{}", u32::from_le_bytes(part.try_into().ok()?)).ok()?;
    }
    Some(text)
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

/// Whether two DNs are equal, ignoring case and spaces around separators (RFC 4518). Escapes are compared literally.
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

/// The pseudo attribute for an entry's own DN.
pub(super) fn is_dn(attribute: &str) -> bool {
    attribute.eq_ignore_ascii_case("DN")
}

#[cfg(test)]
mod tests {
    use super::{Entry, Scalar, filter_value, folded, same_dn};

    fn entry() -> Entry {
        Entry::of(
            "uid=jane,dc=example",
            &[
                ("Mail", &[b"jane@example.org", b"j@example.org"]),
                ("objectGUID", &[&[0xff, 0x00]]),
                ("empty", &[b""]),
                ("memberOf;range=0-1499", &[b"cn=a"]),
            ],
        )
    }

    #[test]
    fn attributes_are_found_in_any_case_and_the_first_value_counts() {
        assert_eq!(entry().scalar("mail"), Scalar::Text("jane@example.org".into()));
        assert_eq!(entry().values("MAIL").len(), 2);
        assert_eq!(entry().scalar("dn"), Scalar::Text("uid=jane,dc=example".into()));
        assert_eq!(entry().values("DN"), [b"uid=jane,dc=example".as_slice()]);
    }

    #[test]
    fn missing_empty_and_binary_are_not_text() {
        assert_eq!(entry().scalar("cn"), Scalar::Missing);
        assert_eq!(entry().scalar("empty"), Scalar::Missing);
        assert_eq!(entry().scalar("objectguid"), Scalar::Binary);
    }

    #[test]
    fn a_range_of_an_attribute_is_not_the_whole_value() {
        let parted = entry();
        let range = parted.range("memberof").unwrap();
        assert_eq!(
            (range.values.as_slice(), range.first, range.last),
            ([b"cn=a".as_slice()].as_slice(), 0, Some(1499))
        );
        assert_eq!(parted.range("member"), None);
        assert_eq!(parted.range("mail"), None);
        let last = Entry::of("cn=x", &[("member;Range=1500-*", &[b"cn=b"])]);
        let range = last.range("member").unwrap();
        assert_eq!((range.first, range.last), (1500, None));
        assert!(entry().values("memberOf").is_empty());
    }

    #[test]
    fn names_are_one_in_spite_of_case_and_spaces() {
        assert!(same_dn("uid=Jane, ou=People ,DC=example", "UID=jane,ou=people,dc=example"));
        assert!(same_dn("cn=a  b,dc=x", "cn=a b,dc=x"));
        assert!(!same_dn("cn=ab,dc=x", "cn=a b,dc=x"));
        assert!(!same_dn(r"cn=a\,b,dc=x", "cn=a,b,dc=x"));
        assert_eq!(folded(r"cn=\ A\ ,dc=x"), r"cn=\ a\ ,dc=x", "escaped spaces count");
    }

    #[test]
    fn active_directorys_binary_ids_have_their_usual_text_form() {
        // All bytes are ASCII, so the value happens to be valid text; it is converted all the same.
        let guid = *b"ABCDEFGHIJKLMNOP";
        let sid = [
            1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 0xd2, 0x04, 0, 0, 0x2e, 0x16, 0, 0, 0xff, 0xff,
            0xff, 0xff, 0xf4, 0x01, 0, 0,
        ];
        let entry = Entry::of("cn=jane", &[("objectGUID", &[&guid]), ("objectSid", &[&sid])]);
        let text = |name: &str| match entry.scalar(name) {
            Scalar::Text(text) => text.into_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(text("objectguid"), "44434241-4645-4847-494a-4b4c4d4e4f50");
        assert_eq!(text("objectSID"), "S-1-5-21-1234-5678-4294967295-500");
        assert_eq!(filter_value("objectGUID", &text("objectGUID")), guid);
        assert_eq!(filter_value("objectSid", "S-1-5-32"), b"S-1-5-32");
        assert_eq!(filter_value("objectGUID", "not a guid"), b"not a guid");

        let odd =
            Entry::of("cn=jane", &[("objectGUID", &[b"short"]), ("objectSid", &[&[1, 9, 0]])]);
        assert_eq!(odd.scalar("objectGUID"), Scalar::Text("short".into()), "text is left as it is");
        assert_eq!(odd.scalar("objectSid"), Scalar::Text("\u{1}\t\0".into()));
    }
}
