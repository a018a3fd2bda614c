//! Exclusive XML Canonicalization 1.0 without comments, of one element of a document that has passed [`super::input`].
//!
//! The rules are those of section 3 of the recommendation, over Canonical XML 1.0 section 2.3: a namespace declaration
//! is written where its prefix is visibly used by the element or its attributes (or is in the `PrefixList`) and an
//! output ancestor has not written the same; declarations sorted by prefix come before attributes sorted by namespace
//! name and local name; comments are left out; text and values are escaped as there.

use std::collections::BTreeMap;

use roxmltree::{Node, NodeId};

/// A namespace name is written once per element that uses it, so the output can be larger than the document.
const MAX_OUTPUT_BYTES: usize = 1024 * 1024;

/// The token of a `PrefixList` for the default namespace.
const DEFAULT: &str = "#default";

/// Canonicalizes the element `apex`. `inclusive_prefixes` is the `PrefixList` of `InclusiveNamespaces`. `left_out` is a
/// descendant that is omitted: the signature, for the enveloped-signature transform.
pub(super) fn canonicalize(
    apex: Node<'_, '_>,
    inclusive_prefixes: &[String],
    left_out: Option<NodeId>,
) -> Result<String, &'static str> {
    let mut writer =
        Writer { output: String::new(), written: Vec::new(), inclusive_prefixes, left_out };
    writer.element(apex)?;
    Ok(writer.output)
}

struct Writer<'a> {
    output: String,
    /// Prefix and namespace name of the declarations written for the open elements, outermost first.
    written: Vec<(&'a str, &'a str)>,
    inclusive_prefixes: &'a [String],
    left_out: Option<NodeId>,
}

impl<'a> Writer<'a> {
    /// Recursive; [`super::input`] limits the depth.
    fn element(&mut self, node: Node<'a, 'a>) -> Result<(), &'static str> {
        if self.output.len() > MAX_OUTPUT_BYTES {
            return Err("its canonical form is too long");
        }
        let source = node.document().input_text();
        let name = name_at(source, node.range().start + 1);
        let written_before = self.written.len();
        self.output.push('<');
        self.output.push_str(name);
        for (prefix, uri) in self.used_namespaces(node, name)? {
            let above = self.written.iter().rev().find(|(other, _)| *other == prefix);
            if above.map_or("", |(_, uri)| uri) != uri {
                self.declaration(prefix, uri);
                self.written.push((prefix, uri));
            }
        }
        let mut attributes: Vec<_> = node.attributes().collect();
        attributes.sort_by_key(|a| (a.namespace().unwrap_or_default(), a.name()));
        for attribute in attributes {
            self.output.push(' ');
            self.output.push_str(source.get(attribute.range_qname()).unwrap_or_default());
            self.output.push_str("=\"");
            self.escaped_value(attribute.value());
            self.output.push('"');
        }
        self.output.push('>');
        for child in node.children() {
            if child.is_element() {
                if Some(child.id()) != self.left_out {
                    self.element(child)?;
                }
            } else if child.is_text() {
                self.escaped_text(child.text().unwrap_or_default());
            } else if child.is_pi() {
                return Err("it contains a processing instruction");
            }
        }
        self.output.push_str("</");
        self.output.push_str(name);
        self.output.push('>');
        self.written.truncate(written_before);
        Ok(())
    }

    /// Prefixes and their namespace names, sorted by prefix; the default namespace has the empty prefix.
    fn used_namespaces(
        &self,
        node: Node<'a, 'a>,
        name: &'a str,
    ) -> Result<BTreeMap<&'a str, &'a str>, &'static str> {
        let source = node.document().input_text();
        let mut used = BTreeMap::new();
        let mut add = |prefix: &'a str| {
            if prefix != "xml" {
                let uri = namespace_of(node, prefix).ok_or("a namespace prefix is not declared")?;
                used.insert(prefix, uri);
            }
            Ok::<(), &'static str>(())
        };
        add(prefix_of(name).unwrap_or_default())?;
        for attribute in node.attributes() {
            let name = source.get(attribute.range_qname()).unwrap_or_default();
            // An attribute without a prefix has no namespace (Namespaces in XML 1.0 section 6.2).
            if let Some(prefix) = prefix_of(name) {
                add(prefix)?;
            }
        }
        for prefix in self.inclusive_prefixes {
            let prefix = if prefix == DEFAULT { "" } else { prefix.as_str() };
            if prefix.is_empty() || namespace_of(node, prefix).is_some() {
                add(prefix)?;
            }
        }
        Ok(used)
    }

    fn declaration(&mut self, prefix: &str, uri: &str) {
        self.output.push_str(" xmlns");
        if !prefix.is_empty() {
            self.output.push(':');
            self.output.push_str(prefix);
        }
        self.output.push_str("=\"");
        self.escaped_value(uri);
        self.output.push('"');
    }

    fn escaped_text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.output.push_str("&amp;"),
                '<' => self.output.push_str("&lt;"),
                '>' => self.output.push_str("&gt;"),
                '\r' => self.output.push_str("&#xD;"),
                other => self.output.push(other),
            }
        }
    }

    fn escaped_value(&mut self, value: &str) {
        for c in value.chars() {
            match c {
                '&' => self.output.push_str("&amp;"),
                '<' => self.output.push_str("&lt;"),
                '"' => self.output.push_str("&quot;"),
                '\t' => self.output.push_str("&#x9;"),
                '\n' => self.output.push_str("&#xA;"),
                '\r' => self.output.push_str("&#xD;"),
                other => self.output.push(other),
            }
        }
    }
}

/// The namespace name in scope; empty for the default namespace if none is declared.
fn namespace_of<'a>(node: Node<'a, 'a>, prefix: &str) -> Option<&'a str> {
    match prefix {
        "" => Some(node.lookup_namespace_uri(None).unwrap_or_default()),
        prefix => node.lookup_namespace_uri(Some(prefix)),
    }
}

fn prefix_of(name: &str) -> Option<&str> {
    name.split_once(':').map(|(prefix, _)| prefix)
}

/// The qualified name that begins at `from`. roxmltree keeps namespaces but not prefixes.
fn name_at(source: &str, from: usize) -> &str {
    let rest = source.get(from..).unwrap_or_default();
    let end = rest.find([' ', '\t', '\r', '\n', '/', '>']).unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
