use std::fmt::Write as _;
use std::process::Command;

use super::super::input;
use super::canonicalize;

fn canonical(text: &str, prefixes: &[&str]) -> String {
    let text = input::text_of(text.as_bytes()).unwrap();
    let document = input::parse(&text).expect(&text);
    let prefixes: Vec<String> = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
    canonicalize(document.root_element(), &prefixes, None).unwrap()
}

/// The canonical form of the first element with this local name.
fn canonical_of(text: &str, name: &str, prefixes: &[&str]) -> String {
    let document = input::parse(text).expect(text);
    let prefixes: Vec<String> = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
    let apex = document.descendants().find(|node| node.tag_name().name() == name).unwrap();
    canonicalize(apex, &prefixes, None).unwrap()
}

/// Sections 2.2 and 3 of the recommendation, and of Canonical XML 1.0.
#[test]
fn the_rules_of_the_recommendation() {
    for (text, expected) in [
        ("<a  b = 'c'\n/>", "<a b=\"c\"></a>"),
        // Unused declarations are left out, used ones are written where they are first used.
        (
            "<a xmlns:p='urn:p' xmlns:q='urn:q'><p:b><p:c/></p:b><p:d/></a>",
            "<a><p:b xmlns:p=\"urn:p\"><p:c></p:c></p:b><p:d xmlns:p=\"urn:p\"></p:d></a>",
        ),
        // Declarations by prefix, then attributes by namespace name, those without one first.
        (
            "<a xmlns:b='urn:2' xmlns:a='urn:1' b:x='' a:y='' z='' xml:lang='en'/>",
            "<a xmlns:a=\"urn:1\" xmlns:b=\"urn:2\" z=\"\" xml:lang=\"en\" a:y=\"\" b:x=\"\"></a>",
        ),
        // The empty default namespace only below another one.
        ("<a xmlns=''/>", "<a></a>"),
        (
            "<a xmlns='urn:a'><b xmlns=''><c xmlns='urn:a'/></b></a>",
            "<a xmlns=\"urn:a\"><b xmlns=\"\"><c xmlns=\"urn:a\"></c></b></a>",
        ),
        (
            "<r:b xmlns:r='urn:r' xmlns='urn:a'><n xmlns=''/></r:b>",
            "<r:b xmlns:r=\"urn:r\"><n></n></r:b>",
        ),
        // The same prefix for another namespace, and back.
        (
            "<p:a xmlns:p='urn:1'><p:b xmlns:p='urn:2'/><p:c/></p:a>",
            "<p:a xmlns:p=\"urn:1\"><p:b xmlns:p=\"urn:2\"></p:b><p:c></p:c></p:a>",
        ),
        // Two prefixes of one namespace stay what they are.
        (
            "<p:a xmlns:p='urn:1' xmlns:q='urn:1'><q:b p:c=''/></p:a>",
            "<p:a xmlns:p=\"urn:1\"><q:b xmlns:q=\"urn:1\" p:c=\"\"></q:b></p:a>",
        ),
        // Comments join the text around them.
        ("<a>b<!-- c -->d</a>", "<a>bd</a>"),
        ("<!-- a --><a/><!-- b -->", "<a></a>"),
        // Escapes, attribute value normalization (XML 1.0 section 3.3.3) and line ends (2.11).
        (
            "<a b='&lt;&amp;&quot;&apos;&gt;\t\r\n&#9;&#10;&#13;'>&lt;&amp;&quot;&gt;\r\n\r&#13;\u{e9}</a>",
            "<a b=\"&lt;&amp;&quot;'>  &#x9;&#xA;&#xD;\">&lt;&amp;\"&gt;\n\n&#xD;\u{e9}</a>",
        ),
    ] {
        assert_eq!(canonical(text, &[]), expected, "{text}");
    }
}

/// `InclusiveNamespaces` as OpenSAML and Okta write it.
#[test]
fn a_prefix_list_is_written_at_the_apex_though_unused() {
    let text =
        "<a xmlns='urn:d' xmlns:xs='urn:xs' xmlns:p='urn:p'><p:b t='xs:string'><p:c/></p:b></a>";
    assert_eq!(
        canonical_of(text, "b", &["xs", "absent"]),
        "<p:b xmlns:p=\"urn:p\" xmlns:xs=\"urn:xs\" t=\"xs:string\"><p:c></p:c></p:b>"
    );
    assert_eq!(
        canonical_of(text, "b", &["#default"]),
        "<p:b xmlns=\"urn:d\" xmlns:p=\"urn:p\" t=\"xs:string\"><p:c></p:c></p:b>"
    );
}

/// A long namespace name that each of many elements must write.
#[test]
fn the_output_is_bounded() {
    let uri = format!("urn:{}", "n".repeat(1000));
    let text = format!("<a xmlns:p='{uri}'>{}</a>", "<p:b/>".repeat(10_000));
    let document = input::parse(&text).unwrap();
    assert!(canonicalize(document.root_element(), &[], None).is_err());
}

/// Compares with libxml2 if `xmllint` is installed: documents that both accept have the same bytes, and what libxml2
/// refuses is refused here. `COUNTERSIGN_C14N_DOCUMENTS` sets the number of documents.
#[expect(clippy::disallowed_methods, reason = "the number of documents, for longer runs")]
#[test]
fn generated_documents_have_the_bytes_that_libxml2_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("document.xml");
    if Command::new("xmllint").arg("--version").output().is_err() {
        eprintln!("NOT RUN: there is no xmllint");
        return;
    }
    let count = std::env::var("COUNTERSIGN_C14N_DOCUMENTS").ok().and_then(|n| n.parse().ok());
    let (mut accepted, count) = (0, count.unwrap_or(300));
    for seed in 0..count {
        let text = Generator(seed * 2 + 1).document();
        std::fs::write(&path, &text).unwrap();
        let output =
            Command::new("xmllint").args(["--nonet", "--exc-c14n"]).arg(&path).output().unwrap();
        let normalized = input::text_of(text.as_bytes()).unwrap();
        let Ok(document) = input::parse(&normalized) else { continue };
        let Ok(ours) = canonicalize(document.root_element(), &[], None) else {
            continue;
        };
        assert!(output.status.success(), "libxml2 refuses {text:?}");
        let theirs = String::from_utf8(output.stdout).unwrap();
        // `xmllint` keeps comments, which this canonical form omits.
        assert_eq!(ours, without_comments(&theirs), "{text:?}");
        accepted += 1;
    }
    assert!(accepted * 2 > count, "only {accepted} of {count} documents were compared");
}

/// Also removes the line ends around comments outside the root (Canonical XML 1.0 section 2.3).
fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!--") {
        out.push_str(before);
        rest = after.split_once("-->").unwrap().1;
    }
    out.push_str(rest);
    out.trim_matches('\n').to_owned()
}

/// Generates documents of everything that `input` accepts, and some that it refuses, by a linear congruential
/// generator.
struct Generator(u64);

impl Generator {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    fn document(&mut self) -> String {
        let mut text = self
            .pick(&["", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", "<!-- c -->\n"])
            .to_owned();
        let depth = 1 + self.below(5);
        self.element(&mut text, depth, &mut vec![]);
        text.push_str(self.pick(&["", "\n", "<!-- d -->"]));
        text
    }

    fn element(&mut self, text: &mut String, depth: u64, scope: &mut Vec<&'static str>) {
        const PREFIXES: [&str; 4] = ["p", "q", "ds", "z"];
        let before = scope.len();
        let mut tag = String::new();
        for prefix in PREFIXES {
            if self.below(3) == 0 {
                scope.push(prefix);
                let uri = self.pick(&[
                    "urn:a",
                    "urn:b",
                    "http://example.org/\u{e9}",
                    "urn:c",
                    "urn:a%20b",
                ]);
                let _ = write!(tag, " xmlns:{prefix}=\"{uri}\"");
            }
        }
        if self.below(4) == 0 {
            let uri = self.pick(&["", "urn:d", "urn:a", "relative"]);
            let _ = write!(tag, "{}xmlns='{uri}'", self.pick(&[" ", "\n\t"]));
        }
        let local = self.pick(&["a", "b", "Name", "e\u{e9}", "_-.1"]);
        let prefix = match scope.is_empty() || self.below(2) == 0 {
            true => String::new(),
            false => format!("{}:", self.pick(&scope.clone())),
        };
        let name = format!("{prefix}{local}");
        for n in 0..self.below(4) {
            let prefix = match scope.is_empty() || self.below(2) == 0 {
                true => self.pick(&["", "xml:"]).to_owned(),
                false => format!("{}:", self.pick(&scope.clone())),
            };
            let name = self.pick(&["x", "y", "lang", "ID"]);
            let value = self.value();
            let _ = write!(tag, " {prefix}{name}{n}{}=\"{value}\"", self.pick(&["", " "]));
        }
        if depth == 0 || self.below(8) == 0 {
            let _ = write!(text, "<{name}{tag}{}/>", self.pick(&["", " "]));
        } else {
            let _ = write!(text, "<{name}{tag}>");
            for _ in 0..self.below(4) {
                match self.below(3) {
                    0 => self.element(text, depth - 1, scope),
                    1 => text.push_str(self.pick(&["<!-- c -->", "<!---->", "\r\n", "\r"])),
                    _ => {
                        let value = self.value().replace('<', "");
                        text.push_str(&value);
                    }
                }
            }
            let _ = write!(text, "</{name}{}>", self.pick(&["", "\n"]));
        }
        scope.truncate(before);
    }

    fn value(&mut self) -> String {
        (0..self.below(6))
            .map(|_| {
                self.pick(&[
                    "text",
                    " ",
                    "\t",
                    "\n",
                    "\r\n",
                    "\r",
                    "&amp;",
                    "&lt;",
                    "&gt;",
                    ">",
                    "'",
                    "&quot;",
                    "&apos;",
                    "&#9;",
                    "&#10;",
                    "&#13;",
                    "&#xD;",
                    "&#x20AC;",
                    "\u{20ac}",
                    "\u{1f600}",
                    "\u{85}",
                    "\u{2028}",
                    "\u{a0}",
                    "]]",
                    "&#x10FFFF;",
                    "--",
                ])
            })
            .collect()
    }
}
