//! Validation before the XML parser: a SAML message is a narrow subset of XML 1.0, and everything else is refused
//! before it is parsed.
//!
//! Accepted are elements, attributes, text, comments and the predefined entities, in UTF-8, optionally with an XML
//! declaration of version 1.0. Refused are DOCTYPE, CDATA, processing instructions, other encodings, a byte order mark,
//! `xmlns:x=""`, relative namespace names, an attribute or namespace declared twice on one element, and anything beyond
//! the limits. The limits also bound the parser's work: it compares the attributes of an element with each other, and
//! each element with the namespaces in scope.

use std::collections::BTreeSet;

use roxmltree::{Document, Node};

pub(super) const MAX_BYTES: usize = 256 * 1024;
const MAX_DEPTH: usize = 64;
const MAX_ELEMENTS: usize = 20_000;
const MAX_ATTRIBUTES: usize = 64;
const MAX_NAMESPACE_DECLARATIONS: usize = 256;
const MAX_NAMESPACE_BYTES: usize = 1024;

/// Parses a text whose line ends are line feeds ([`text_of`]). The error names what is refused and never contains
/// input.
pub(super) fn parse(text: &str) -> Result<Document<'_>, &'static str> {
    Scan::of(text)?;
    let document = Document::parse(text).map_err(|_| "it is not well-formed XML")?;
    for node in document.descendants() {
        check_namespaces(node)?;
    }
    Ok(document)
}

/// The text of a message, with line ends normalized to line feeds (XML 1.0 section 2.11). Done here because the parser
/// keeps a carriage return before a character reference.
pub(super) fn text_of(bytes: &[u8]) -> Result<String, &'static str> {
    if bytes.len() > MAX_BYTES {
        return Err("it has more than 256 kB");
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    Ok(text.replace("\r\n", "\n").replace('\r', "\n"))
}

/// Checks the namespaces of elements that declare some; other elements inherit checked ones.
fn check_namespaces(node: Node<'_, '_>) -> Result<(), &'static str> {
    let inherited = node.parent_element().map_or(0, |parent| parent.namespaces().len());
    if !node.is_element() || (node.namespaces().len() == inherited && !declares(node)) {
        return Ok(());
    }
    for namespace in node.namespaces() {
        let uri = namespace.uri();
        if uri.is_empty() && namespace.name().is_some() {
            return Err("a namespace prefix is declared empty");
        }
        if uri.len() > MAX_NAMESPACE_BYTES {
            return Err("a namespace name is too long");
        }
        // Canonical XML 1.0 section 4.1 excludes relative namespace names; libxml2 refuses them too.
        if !uri.is_empty() && !is_absolute(uri) {
            return Err("a namespace name is not an absolute URI");
        }
    }
    Ok(())
}

/// Whether the start tag has a namespace declaration of its own.
fn declares(node: Node<'_, '_>) -> bool {
    let source = node.document().input_text();
    let tag = source.get(node.range().start..).unwrap_or_default();
    let end = tag.find('>').unwrap_or(tag.len());
    tag.get(..end).is_some_and(|tag| tag.contains("xmlns"))
}

fn is_absolute(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let characters = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(characters)
        && !rest.is_empty()
        && uri.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&b))
}

/// One pass over the text before it is parsed.
#[derive(Default)]
struct Scan {
    depth: usize,
    elements: usize,
    declarations: usize,
}

impl Scan {
    fn of(text: &str) -> Result<(), &'static str> {
        if text.len() > MAX_BYTES {
            return Err("it has more than 256 kB");
        }
        if text.starts_with('\u{feff}') {
            return Err("it begins with a byte order mark");
        }
        if text.contains('\r') {
            return Err("it contains a carriage return");
        }
        let mut scan = Self::default();
        let mut rest = after_declaration(text)?;
        while let Some(at) = rest.find('<') {
            let markup = rest.get(at + 1..).unwrap_or_default();
            rest = if let Some(comment) = markup.strip_prefix("!--") {
                comment.split_once("-->").ok_or("a comment does not end")?.1
            } else if markup.starts_with('!') {
                return Err("it contains a DOCTYPE or CDATA");
            } else if markup.starts_with('?') {
                return Err("it contains a processing instruction");
            } else if let Some(end_tag) = markup.strip_prefix('/') {
                scan.depth = scan.depth.saturating_sub(1);
                end_tag
            } else {
                scan.start_tag(markup)?
            };
        }
        Ok(())
    }

    /// Checks a start tag and returns the text after it.
    #[expect(clippy::match_same_arms, reason = "the order of the arms matters")]
    fn start_tag<'a>(&mut self, markup: &'a str) -> Result<&'a str, &'static str> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return Err("it has too many elements");
        }
        let mut names = BTreeSet::new();
        let (mut quote, mut name_from, mut end) = (None, 0, None);
        for (at, byte) in markup.bytes().enumerate() {
            match (quote, byte) {
                (Some(open), _) if open == byte => {
                    quote = None;
                    name_from = at + 1;
                }
                (Some(_), _) => {}
                (None, b'"' | b'\'') => quote = Some(byte),
                (None, b'=') => {
                    let name = markup.get(name_from..at).unwrap_or_default();
                    self.attribute(name.split_ascii_whitespace().next_back(), &mut names)?;
                }
                (None, b'>') => {
                    end = Some(at);
                    break;
                }
                (None, b'<') => return Err("a tag does not end"),
                (None, _) => {}
            }
        }
        let end = end.ok_or("a tag does not end")?;
        if !markup.get(..end).is_some_and(|tag| tag.ends_with('/')) {
            self.depth += 1;
        }
        if self.depth > MAX_DEPTH {
            return Err("its elements are nested too deeply");
        }
        Ok(markup.get(end + 1..).unwrap_or_default())
    }

    fn attribute<'a>(
        &mut self,
        name: Option<&'a str>,
        names: &mut BTreeSet<&'a str>,
    ) -> Result<(), &'static str> {
        let name = name.ok_or("an attribute has no name")?;
        if !names.insert(name) {
            return Err("an attribute is there twice");
        }
        if names.len() > MAX_ATTRIBUTES {
            return Err("an element has too many attributes");
        }
        if name == "xmlns" || name.starts_with("xmlns:") {
            self.declarations += 1;
            if self.declarations > MAX_NAMESPACE_DECLARATIONS {
                return Err("it declares too many namespaces");
            }
        }
        Ok(())
    }
}

/// The text after the XML declaration (XML 1.0 section 2.8), which may only name version 1.0 and UTF-8.
fn after_declaration(text: &str) -> Result<&str, &'static str> {
    let Some(declaration) = text.strip_prefix("<?xml").filter(|d| d.starts_with([' ', '\t']))
    else {
        return Ok(text);
    };
    let (declaration, rest) =
        declaration.split_once("?>").ok_or("the XML declaration does not end")?;
    let mut words = declaration.split_ascii_whitespace().map(|word| word.replace('\'', "\""));
    let is_version = words.next().as_deref() == Some("version=\"1.0\"");
    let others = words.all(|word| {
        let word = word.to_ascii_lowercase();
        matches!(word.as_str(), "encoding=\"utf-8\"" | "standalone=\"yes\"" | "standalone=\"no\"")
    });
    match is_version && others {
        true => Ok(rest),
        false => Err("its XML declaration does not say version 1.0 and UTF-8"),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn refused(text: &str) -> &'static str {
        parse(text).expect_err(text)
    }

    /// Threats 107 and 108.
    #[test]
    fn what_no_saml_message_needs_is_refused_before_parsing() {
        for (text, reason) in [
            ("<!DOCTYPE a><a/>", "DOCTYPE"),
            ("<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>", "DOCTYPE"),
            ("<a><![CDATA[b]]></a>", "CDATA"),
            ("<a><?b c?></a>", "processing instruction"),
            ("<?xml-stylesheet href='b'?><a/>", "processing instruction"),
            ("\u{feff}<a/>", "byte order mark"),
            ("<?xml version=\"1.1\"?><a/>", "version 1.0"),
            ("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a/>", "UTF-8"),
            ("<a xmlns:b=\"\"/>", "declared empty"),
            ("<a xmlns=\"urn:a\"><b xmlns:c=\"\"/></a>", "declared empty"),
            ("<a xmlns=\"b\"/>", "absolute"),
            ("<a b=\"1\" b=\"2\"/>", "twice"),
            ("<a xmlns=\"urn:a\" xmlns=\"urn:b\"/>", "twice"),
            ("<a xmlns:p='urn:a' xmlns:q='urn:a' p:b='' q:b=''/>", "well-formed"),
            ("<a>&b;</a>", "well-formed"),
            ("<a/><b/>", "well-formed"),
            ("<a", "does not end"),
            ("<a b='c", "does not end"),
            ("<!-- a", "does not end"),
            ("<p:a/>", "well-formed"),
            ("<a>\u{1}</a>", "well-formed"),
            ("<a>\r</a>", "carriage return"),
            ("", "well-formed"),
        ] {
            assert!(refused(text).contains(reason), "{text}: {}", refused(text));
        }
        for text in [
            "<?xml version='1.0' encoding='utf-8' standalone='no'?>\n<a/>",
            "<a><!-- <!DOCTYPE --> &lt;&#65;&amp;</a>",
            "<a b='>' c=\"'\"/>",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    /// Threat 108: each limit, one below and one above it.
    #[test]
    fn every_count_has_a_limit() {
        let attributes = |count: usize| {
            let list: String = (0..count).map(|n| format!(" a{n}=''")).collect();
            format!("<a{list}/>")
        };
        let depth = |count: usize| format!("{}{}", "<a>".repeat(count), "</a>".repeat(count));
        let elements = |count: usize| format!("<a>{}</a>", "<b/>".repeat(count - 1));
        let namespaces = |count: usize| {
            let list: String = (0..count).map(|n| format!("<b xmlns:p{n}='urn:{n}'/>")).collect();
            format!("<a>{list}</a>")
        };
        assert!(parse(&attributes(64)).is_ok());
        assert!(refused(&attributes(65)).contains("attributes"));
        assert!(parse(&depth(64)).is_ok());
        assert!(refused(&depth(65)).contains("deeply"));
        assert!(parse(&elements(20_000)).is_ok());
        assert!(refused(&elements(20_001)).contains("elements"));
        assert!(parse(&namespaces(256)).is_ok());
        assert!(refused(&namespaces(257)).contains("namespaces"));
        let long = format!("<a>{}</a>", "b".repeat(super::MAX_BYTES - 7));
        assert!(parse(&long).is_ok());
        assert!(refused(&format!("{long} ")).contains("256 kB"));
        assert!(refused(&format!("<a xmlns='urn:{}'/>", "b".repeat(2000))).contains("too long"));
    }
}
