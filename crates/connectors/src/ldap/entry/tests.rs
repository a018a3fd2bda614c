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
    // Every byte is ASCII: being text by accident does not matter.
    let guid = *b"ABCDEFGHIJKLMNOP";
    let sid = [
        1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 0xd2, 0x04, 0, 0, 0x2e, 0x16, 0, 0, 0xff, 0xff, 0xff,
        0xff, 0xf4, 0x01, 0, 0,
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

    let odd = Entry::of("cn=jane", &[("objectGUID", &[b"short"]), ("objectSid", &[&[1, 9, 0]])]);
    assert_eq!(odd.scalar("objectGUID"), Scalar::Text("short".into()), "text is left as it is");
    assert_eq!(odd.scalar("objectSid"), Scalar::Text("\u{1}\t\0".into()));
}
