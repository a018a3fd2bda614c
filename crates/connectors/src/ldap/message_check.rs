//! Checks each server message before ldap3 parses it: ldap3 parses nested elements recursively, has no size limit, and
//! panics on unexpected structures. Messages accepted here cannot cause that.

use std::str;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::ber::{self, Element};

/// Limit of one message; an entry with 50,000 groups takes a fraction of it.
pub(super) const MAX_MESSAGE_BYTES: usize = 16 << 20;
const MAX_ELEMENTS: usize = 300_000;
const MAX_DEPTH: usize = 12;

const BIND_RESPONSE: u8 = 0x61;
const SEARCH_ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const SEARCH_REFERENCE: u8 = 0x73;
const EXTENDED_RESPONSE: u8 = 0x78;
const INTERMEDIATE: u8 = 0x79;

/// Why the connection to a server is closed.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidMessage {
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

/// Reads the next complete message. `None` if the server closed the connection between messages. Memory grows with the
/// received bytes, not with the announced length.
pub(super) async fn read_message<R>(reader: &mut R) -> Result<Option<Vec<u8>>, InvalidMessage>
where
    R: AsyncRead + Unpin + Send,
{
    let mut message = vec![0; 2];
    let (first, rest) = message.split_at_mut(1);
    if reader.read(first).await? == 0 {
        return Ok(None);
    }
    reader.read_exact(rest).await?;
    let [0x30, short] = message[..] else { return Err(InvalidMessage::NotLdap) };
    let length = if short < 0x80 {
        usize::from(short)
    } else {
        let mut digits = [0; 4];
        let digits = digits.get_mut(..usize::from(short & 0x7f)).ok_or(InvalidMessage::NotLdap)?;
        reader.read_exact(digits).await?;
        message.extend_from_slice(digits);
        ber::unsigned(digits).ok_or(InvalidMessage::NotLdap)?
    };
    if length > MAX_MESSAGE_BYTES {
        return Err(InvalidMessage::TooLong);
    }
    let limit = u64::try_from(length).unwrap_or(u64::MAX);
    if reader.take(limit).read_to_end(&mut message).await? < length {
        return Err(InvalidMessage::Io(std::io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(Some(message))
}

/// Checks one complete message. Where ldap3 requires UTF-8, other bytes (diagnostic texts of some servers) are replaced
/// in place.
pub(super) fn check(message: &mut [u8]) -> Result<(), InvalidMessage> {
    check_nesting(message)?;
    let texts = check_shape(message).ok_or(InvalidMessage::NotLdap)??;
    for text in texts {
        let Some(bytes) = message.get_mut(text.start..text.end) else { continue };
        if str::from_utf8(bytes).is_err() {
            bytes.iter_mut().filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = b'?');
        }
    }
    Ok(())
}

/// Every element, at any depth, must be within its parent, and their number is limited.
fn check_nesting(message: &[u8]) -> Result<(), InvalidMessage> {
    let mut ends = vec![message.len()];
    let mut at = 0;
    let mut count = 0;
    while let Some(end) = ends.last().copied() {
        if at == end {
            ends.pop();
            continue;
        }
        let element = ber::element(message, at, end).ok_or(InvalidMessage::NotLdap)?;
        count += 1;
        if count > MAX_ELEMENTS {
            return Err(InvalidMessage::TooIntricate);
        }
        at = element.start;
        if element.is_primitive() {
            at = element.end;
        } else if ends.len() > MAX_DEPTH {
            return Err(InvalidMessage::TooIntricate);
        } else {
            ends.push(element.end);
        }
    }
    Ok(())
}

/// Checks for an `LDAPMessage` (RFC 4511 section 4.1.1) with a server operation, and returns the elements that must be
/// UTF-8; `None` for any other structure.
fn check_shape(message: &[u8]) -> Option<Result<Vec<Element>, InvalidMessage>> {
    let parts = ber::sequence(message)?;
    let [id, operation, rest @ ..] = parts.as_slice() else { return None };
    if id.tag != 0x02 {
        return None;
    }
    // Message id 0 is an unsolicited notification; the only one defined is the notice of disconnection.
    if ber::unsigned(id.body(message))? == 0 {
        return Some(Err(InvalidMessage::Disconnection));
    }
    let mut texts = match operation.tag {
        BIND_RESPONSE | SEARCH_DONE | EXTENDED_RESPONSE => result_texts(message, *operation)?,
        // Entries and references are parsed by our own code, not by ldap3.
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

/// Checks an `LDAPResult` (RFC 4511 section 4.1.9) with the additional fields of a bind or extended response.
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

/// The OID of a well-formed `Control` (RFC 4511 section 4.1.11).
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
