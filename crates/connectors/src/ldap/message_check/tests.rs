use super::{InvalidMessage, check, read_message};

fn element(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match u8::try_from(body.len()) {
        Ok(length) if length < 0x80 => bytes.push(length),
        _ => {
            bytes.push(0x84);
            bytes.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

fn message(id: u8, operation: &[u8]) -> Vec<u8> {
    element(0x30, &[element(0x02, &[id]), operation.to_vec()].concat())
}

fn result(tag: u8, text: &[u8]) -> Vec<u8> {
    element(tag, &[element(0x0a, &[49]), element(0x04, b""), element(0x04, text)].concat())
}

fn nested(levels: usize) -> Vec<u8> {
    (0..levels).fold(Vec::new(), |inner, _| element(0x30, &inner))
}

#[test]
fn valid_messages_pass_unchanged() {
    let value =
        element(0x30, &[element(0x04, b"cn"), element(0x31, &element(0x04, b"x"))].concat());
    let entry = [element(0x04, b"cn=x"), element(0x30, &value)].concat();
    for operation in [
        result(0x61, b"no"),
        result(0x65, b""),
        result(0x78, b"ok"),
        element(0x64, &entry),
        element(0x73, &element(0x04, b"ldap://evil.example")),
    ] {
        let mut bytes = message(1, &operation);
        let before = bytes.clone();
        check(&mut bytes).unwrap();
        assert_eq!(bytes, before);
    }
}

#[test]
fn a_diagnostic_in_another_encoding_is_made_readable() {
    let mut bytes = message(1, &result(0x61, b"ung\xfcltig"));
    check(&mut bytes).unwrap();
    assert!(bytes.ends_with(b"ung?ltig"));
}

#[test]
fn what_would_break_ldap3_does_not_pass() {
    let control = |parts: &[u8]| {
        let controls = element(0xa0, &element(0x30, parts));
        let inner = [element(0x02, &[1]), result(0x61, b""), controls].concat();
        element(0x30, &inner)
    };
    for mut hostile in [
        vec![],
        vec![0x30],
        element(0x30, &[]),
        element(0x30, &element(0x02, &[1])),
        message(1, &element(0x61, &[])),
        message(1, &element(0x61, &element(0x0a, &[0]))),
        message(1, &element(0x62, b"")),
        message(1, &element(0x04, b"")),
        message(1, &[0x65, 0x80, 0, 0]),
        message(1, &[0x7f, 0x81, 1, 0]),
        element(0x30, &[element(0x02, &[9; 9]), result(0x61, b"")].concat()),
        element(0x30, &[element(0x04, &[1]), result(0x61, b"")].concat()),
        [message(1, &result(0x61, b"")), vec![0]].concat(),
        control(&[]),
        control(&element(0x30, b"")),
        control(&[element(0x04, b"1.2"), element(0x01, b"")].concat()),
        control(&[element(0x04, b"1.2"), element(0x0a, b"x")].concat()),
    ] {
        assert!(check(&mut hostile).is_err(), "{hostile:?}");
    }
    let harmless = [element(0x04, b"1.2"), element(0x01, &[0xff]), element(0x04, b"x")].concat();
    check(&mut control(&harmless)).unwrap();
}

#[test]
fn depth_and_number_are_bounded_without_recursion() {
    let mut deep = message(1, &element(0x64, &nested(100_000)));
    assert!(matches!(check(&mut deep), Err(InvalidMessage::TooIntricate)));
    let mut many = message(1, &element(0x64, &[0x05, 0x00].repeat(400_000)));
    assert!(matches!(check(&mut many), Err(InvalidMessage::TooIntricate)));
}

#[test]
fn a_notice_of_disconnection_is_recognized() {
    let mut disconnection = message(0, &result(0x78, b"going down"));
    assert!(matches!(check(&mut disconnection), Err(InvalidMessage::Disconnection)));
}

#[tokio::test]
async fn messages_are_read_one_by_one_and_never_beyond() {
    let bytes = [message(1, &result(0x61, b"")), message(2, &result(0x65, b""))].concat();
    let mut reader = bytes.as_slice();
    for id in [1, 2] {
        assert_eq!(
            read_message(&mut reader).await.unwrap().unwrap(),
            message(id, &result(if id == 1 { 0x61 } else { 0x65 }, b""))
        );
    }
    assert!(read_message(&mut reader).await.unwrap().is_none());
}

#[tokio::test]
async fn an_announced_gigabyte_is_refused_before_it_comes() {
    let mut reader: &[u8] = &[0x30, 0x84, 0x40, 0, 0, 0];
    assert!(matches!(read_message(&mut reader).await, Err(InvalidMessage::TooLong)));
    let mut cut: &[u8] = &[0x30, 0x82, 0x40, 0, 1, 2];
    assert!(matches!(read_message(&mut cut).await, Err(InvalidMessage::Io(_))));
    let mut http: &[u8] = b"HTTP/1.1 400 Bad Request\r\n";
    assert!(matches!(read_message(&mut http).await, Err(InvalidMessage::NotLdap)));
}
