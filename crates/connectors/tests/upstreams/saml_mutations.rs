//! Mutated SAML responses (threats 106, 107, 110 and 113): documents that xmlsec1 signed are cut, copied, spliced into
//! one another and changed at places that a constant seed chooses. Each is refused, or yields exactly the claims and the
//! assertion ID of a document it was made of: never those of two.
//!
//! `COUNTERSIGN_SAML_MUTATIONS` is the number of documents, for a longer run.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_core::connector::{PostedLoginOutcome, Refusal};
use countersign_core::{Connector, Identity, Trace};

use crate::saml::{NOW, data, keys, outcome_of};
use crate::steps::sound;

const SEED: u64 = 0x9E37_79B9_7F4A_7C15;
const DEFAULT_COUNT: u64 = 3_000;

/// All are of one identity provider and in response to one request; `comment.xml` is about somebody else.
const DOCUMENTS: [&str; 6] =
    ["response.xml", "assertion.xml", "both.xml", "prefix-list.xml", "sha512.xml", "comment.xml"];

/// What is put into a document.
const FRAGMENTS: [&str; 22] = [
    "<saml:Assertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"_evil\" Version=\"2.0\">",
    "</saml:Assertion>",
    "<saml:NameID>admin</saml:NameID>",
    "<saml:AttributeValue>root</saml:AttributeValue>",
    "<!-- -->",
    "<!--",
    "<![CDATA[admin]]>",
    "<?x y?>",
    "&#x41;",
    "&#0;",
    "&amp;",
    "&x;",
    " xmlns=\"\"",
    " xmlns:saml=\"urn:evil\"",
    " ID=\"_evil\"",
    "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"></ds:Signature>",
    "\u{feff}",
    "\r\n",
    "\0",
    "<!DOCTYPE x>",
    "\"",
    " ",
];

/// Xorshift: the same documents in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap()
    }

    fn one_of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    /// A place between two characters: of three, two are at a tag.
    fn place(&mut self, xml: &str) -> usize {
        if self.below(3) == 0 {
            let at = self.below(xml.len() + 1);
            return (0..=at).rev().find(|at| xml.is_char_boundary(*at)).unwrap();
        }
        let tags: Vec<usize> = xml.match_indices('<').map(|(at, _)| at).collect();
        if tags.is_empty() { 0 } else { tags[self.below(tags.len())] }
    }

    fn range(&mut self, xml: &str) -> (usize, usize) {
        let (one, other) = (self.place(xml), self.place(xml));
        (one.min(other), one.max(other))
    }

    fn mutated(&mut self, xml: &str, other: &str) -> String {
        let (from, to) = self.range(xml);
        let (start, part, end) = (&xml[..from], &xml[from..to], &xml[to..]);
        match self.below(8) {
            0 => format!("{start}{end}"),
            1 => format!("{start}{part}{part}{end}"),
            2 | 3 => format!("{start}{}{part}{end}", self.one_of(&FRAGMENTS)),
            4 => {
                let (from, to) = self.range(other);
                format!("{start}{}{end}", &other[from..to])
            }
            5 => {
                let (from, to) = self.range(xml);
                format!("{start}{}{part}{end}", &xml[from..to])
            }
            6 => {
                format!("{start}{}{end}", part.replacen("jane@example.com", "admin@example.com", 1))
            }
            // One character more: of white space it is without effect where the parser drops it.
            _ => {
                format!("{start}{}{part}{end}", self.one_of(&["x", "=", " ", "\n", "<", ">", "&"]))
            }
        }
    }
}

/// Who signs in, and by which assertion.
#[derive(Debug, PartialEq)]
struct Login {
    identity: Identity,
    assertion_id: String,
}

/// The login, or the reason of the refusal.
fn login(connector: &Connector, xml: &str) -> Result<Login, String> {
    let response = STANDARD.encode(xml);
    match outcome_of(connector, &response, NOW, &mut Trace::default()) {
        Ok(PostedLoginOutcome::Accepted { person, assertion_id }) => {
            Ok(Login { identity: person.identity, assertion_id })
        }
        Ok(PostedLoginOutcome::Refused(Refusal::InvalidResponse { reason })) => Err(reason),
        Ok(PostedLoginOutcome::Refused(refusal)) => Err(format!("{refusal:?}")),
        Err(error) => panic!("{error:?}\n{xml}"),
    }
}

#[test]
fn a_mutated_response_is_refused_or_says_exactly_what_was_signed() {
    let connector = sound("saml", keys(&data("rsa.pem")));
    let documents = DOCUMENTS.map(data);
    let honest = documents.each_ref().map(|xml| login(&connector, xml).unwrap());
    assert_ne!(honest[0].identity, honest[5].identity);
    let count = std::env::var("COUNTERSIGN_SAML_MUTATIONS").ok();
    let count = count.map_or(DEFAULT_COUNT, |text| text.parse().unwrap());
    let mut random = Random(SEED);
    let mut accepted = 0_u64;
    let mut reasons = BTreeMap::<String, u64>::new();
    for _ in 0..count {
        let (document, other) = (random.below(documents.len()), random.below(documents.len()));
        let mut xml = documents[document].clone();
        for _ in 0..=random.below(4) {
            xml = random.mutated(&xml, &documents[other]);
        }
        match login(&connector, &xml) {
            Err(reason) => *reasons.entry(reason).or_default() += 1,
            Ok(login) => {
                accepted += 1;
                assert!(login == honest[document] || login == honest[other], "{login:?}\n{xml}");
            }
        }
    }
    println!("{count} mutated documents: {accepted} say what was signed; refused: {reasons:#?}");
    // The mutations reach every stage: the gate, the structure, the signature, the digest, the claims.
    assert!(accepted > 0);
    for stage in [
        "it contains a DOCTYPE or CDATA",
        "it is not well-formed XML",
        "there is an assertion in an unexpected place",
        "an ID is there twice",
        "the signature has unexpected parts",
        "the signature is by none of the configured certificates",
        "the digest does not match: the response was changed after it was signed",
        "neither the response nor its assertion is signed",
    ] {
        assert!(reasons.contains_key(stage), "{stage}: {reasons:#?}");
    }
}
