//! Looks at every message of a server before ldap3 does. ldap3 takes a server's word for it: it reads
//! nested elements by recursion, keeps whatever comes, and panics on a shape it does not expect.
//! Nothing that gets past here can do that.

use std::str;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::ber::{self, Element};

/// One message: an entry with 50,000 groups fits several times.
pub(super) const MAX_MESSAGE_BYTES: usize = 16 << 20;
const MAX_ELEMENTS: usize = 300_000;
const MAX_DEPTH: usize = 12;

const BIND_RESPONSE: u8 = 0x61;
const SEARCH_ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const SEARCH_REFERENCE: u8 = 0x73;
const EXTENDED_RESPONSE: u8 = 0x78;
const INTERMEDIATE: u8 = 0x79;

/// Why a server is not spoken to any longer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error("the server sent a message of more than {} MiB", MAX_MESSAGE_BYTES >> 20)]
    TooLong,
    #[error("the server sent a message of too many or too deeply nested parts")]
    TooIntricate,
    #[error("the server sent something that is not LDAP")]
    NotLdap,
    #[error("the server sent a notice of disconnection")]
    Disconnection,
    #[error("reading from the server: {0}")]
    Io(#[from] std::io::Error),
}

/// The next message, whole. `None` when the server closed the connection between two.
/// Memory grows with what arrives, not with what is announced.
pub(super) async fn read_message<R>(reader: &mut R) -> Result<Option<Vec<u8>>, Unfit>
where
    R: AsyncRead + Unpin + Send,
{
    let mut message = vec![0; 2];
    let (first, rest) = message.split_at_mut(1);
    if reader.read(first).await? == 0 {
        return Ok(None);
    }
    reader.read_exact(rest).await?;
    let [0x30, short] = message[..] else { return Err(Unfit::NotLdap) };
    let length = if short < 0x80 {
        usize::from(short)
    } else {
        let mut digits = [0; 4];
        let digits = digits.get_mut(..usize::from(short & 0x7f)).ok_or(Unfit::NotLdap)?;
        reader.read_exact(digits).await?;
        message.extend_from_slice(digits);
        ber::unsigned(digits).ok_or(Unfit::NotLdap)?
    };
    if length > MAX_MESSAGE_BYTES {
        return Err(Unfit::TooLong);
    }
    let limit = u64::try_from(length).unwrap_or(u64::MAX);
    if reader.take(limit).read_to_end(&mut message).await? < length {
        return Err(Unfit::Io(std::io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(Some(message))
}

/// Checks one whole message. Text that is not UTF-8 where ldap3 demands it (diagnostics of some
/// servers) is made so in place.
pub(super) fn check(message: &mut [u8]) -> Result<(), Unfit> {
    check_nesting(message)?;
    let texts = check_shape(message).ok_or(Unfit::NotLdap)??;
    for text in texts {
        let Some(bytes) = message.get_mut(text.start..text.end) else { continue };
        if str::from_utf8(bytes).is_err() {
            bytes.iter_mut().filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = b'?');
        }
    }
    Ok(())
}

/// Every element, however deep, lies within its parent, and there are not too many.
fn check_nesting(message: &[u8]) -> Result<(), Unfit> {
    let mut ends = vec![message.len()];
    let mut at = 0;
    let mut count = 0;
    while let Some(end) = ends.last().copied() {
        if at == end {
            ends.pop();
            continue;
        }
        let element = ber::element(message, at, end).ok_or(Unfit::NotLdap)?;
        count += 1;
        if count > MAX_ELEMENTS {
            return Err(Unfit::TooIntricate);
        }
        at = element.start;
        if element.is_primitive() {
            at = element.end;
        } else if ends.len() > MAX_DEPTH {
            return Err(Unfit::TooIntricate);
        } else {
            ends.push(element.end);
        }
    }
    Ok(())
}

/// `LDAPMessage` of RFC 4511 section 4.1.1 with an operation that servers send. The elements that
/// must be UTF-8 are returned; `None` is any other shape.
fn check_shape(message: &[u8]) -> Option<Result<Vec<Element>, Unfit>> {
    let parts = ber::sequence(message)?;
    let [id, operation, rest @ ..] = parts.as_slice() else { return None };
    if id.tag != 0x02 {
        return None;
    }
    // Message id 0 is an unsolicited notification; the only one there is announces the end.
    if ber::unsigned(id.body(message))? == 0 {
        return Some(Err(Unfit::Disconnection));
    }
    let mut texts = match operation.tag {
        BIND_RESPONSE | SEARCH_DONE | EXTENDED_RESPONSE => result_texts(message, *operation)?,
        // Entries and references are taken apart by us, not by ldap3.
        SEARCH_ENTRY | SEARCH_REFERENCE | INTERMEDIATE => Vec::new(),
        _ => return None,
    };
    match rest {
        [] => {}
        [controls] if controls.tag == 0xa0 => {
            for control in ber::children(message, *controls)? {
                texts.push(control_oid(message, control)?);
            }
        }
        _ => return None,
    }
    Some(Ok(texts))
}

/// `LDAPResult` of RFC 4511 section 4.1.9, with what a bind or extended response adds.
fn result_texts(message: &[u8], operation: Element) -> Option<Vec<Element>> {
    let parts = ber::children(message, operation)?;
    let [code, matched, text, rest @ ..] = parts.as_slice() else { return None };
    if code.tag != 0x0a || matched.tag != 0x04 || text.tag != 0x04 {
        return None;
    }
    let mut texts = vec![*matched, *text];
    for part in rest {
        match part.tag & 0x1f {
            3 => {
                let urls = part.is_constructed().then(|| ber::children(message, *part))??;
                if !urls.iter().all(|url| url.is_primitive()) {
                    return None;
                }
                texts.extend(urls);
            }
            7 | 10 | 11 if part.is_constructed() => return None,
            10 => texts.push(*part),
            _ => {}
        }
    }
    Some(texts)
}

/// The name of a `Control` (RFC 4511 section 4.1.11) whose other parts are as they should be.
fn control_oid(message: &[u8], control: Element) -> Option<Element> {
    if control.is_primitive() {
        return None;
    }
    let parts = ber::children(message, control)?;
    let value = match parts.as_slice() {
        [_] => None,
        [_, value] if value.tag == 0x04 => Some(value),
        [_, flag] if is_boolean(*flag) => None,
        [_, flag, value] if is_boolean(*flag) => Some(value),
        _ => return None,
    };
    let sound = value.is_none_or(|value| value.is_primitive());
    parts.first().copied().filter(|oid| sound && oid.is_primitive())
}

fn is_boolean(element: Element) -> bool {
    element.tag == 0x01 && element.end > element.start
}

#[cfg(test)]
mod tests;
