//! The subset of BER (X.690) that LDAP messages and certificates need. Iterative and bounded, so no input exhausts the
//! stack.

/// One element: tag, and the range of its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    /// The identifier octet: class, constructed bit, number below 31.
    pub tag: u8,
    pub start: usize,
    pub end: usize,
}

impl Element {
    pub fn is_constructed(self) -> bool {
        self.tag & 0x20 != 0
    }

    pub fn is_primitive(self) -> bool {
        !self.is_constructed()
    }

    pub fn body(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start..self.end).unwrap_or_default()
    }
}

/// The element that begins at `at` and ends before `end`. `None` for indefinite lengths, which LDAP forbids (RFC 4511
/// section 5.1), and for multi-octet tags, which LDAP does not use.
pub(crate) fn element(bytes: &[u8], at: usize, end: usize) -> Option<Element> {
    let bytes = bytes.get(..end)?;
    let tag = *bytes.get(at)?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let first = *bytes.get(at + 1)?;
    let (length, start) = if first < 0x80 {
        (usize::from(first), at + 2)
    } else {
        let count = usize::from(first & 0x7f);
        if !(1..=4).contains(&count) {
            return None;
        }
        (unsigned(bytes.get(at + 2..at + 2 + count)?)?, at + 2 + count)
    };
    let stop = start.checked_add(length).filter(|stop| *stop <= end)?;
    Some(Element { tag, start, end: stop })
}

/// The elements directly within `parent`. `None` if its contents are not a sequence of elements.
pub(crate) fn children(bytes: &[u8], parent: Element) -> Option<Vec<Element>> {
    let mut list = Vec::new();
    let mut at = parent.start;
    while at < parent.end {
        let child = element(bytes, at, parent.end)?;
        at = child.end;
        list.push(child);
    }
    Some(list)
}

/// The elements of a value that consists of exactly one SEQUENCE.
pub(crate) fn sequence(bytes: &[u8]) -> Option<Vec<Element>> {
    let outer = element(bytes, 0, bytes.len())?;
    (outer.tag == 0x30 && outer.end == bytes.len()).then(|| children(bytes, outer))?
}

/// A big-endian unsigned number of one to four octets.
pub(crate) fn unsigned(bytes: &[u8]) -> Option<usize> {
    if bytes.is_empty() || bytes.len() > 4 {
        return None;
    }
    Some(bytes.iter().fold(0, |number, byte| (number << 8) | usize::from(*byte)))
}
