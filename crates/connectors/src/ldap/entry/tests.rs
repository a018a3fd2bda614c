use super::{Entry, Scalar, folded, same_dn};

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
    assert_eq!(entry().scalar("mail"), Scalar::Text("jane@example.org"));
    assert_eq!(entry().values("MAIL").len(), 2);
    assert_eq!(entry().scalar("dn"), Scalar::Text("uid=jane,dc=example"));
    assert_eq!(entry().values("DN"), [b"uid=jane,dc=example".as_slice()]);
}

#[test]
fn missing_empty_and_binary_are_not_text() {
    assert_eq!(entry().scalar("cn"), Scalar::Missing);
    assert_eq!(entry().scalar("empty"), Scalar::Missing);
    assert_eq!(entry().scalar("objectguid"), Scalar::Binary);
}

#[test]
fn a_part_of_an_attribute_is_not_taken_for_the_whole() {
    assert!(entry().is_partial("memberof"));
    assert!(!entry().is_partial("member"));
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
