//! Namespace names, and finding elements by qualified name.

use roxmltree::Node;

pub(super) const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
pub(super) const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
pub(super) const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";

pub(super) fn has_name(node: Node<'_, '_>, namespace: &str, name: &str) -> bool {
    node.is_element()
        && node.tag_name().name() == name
        && node.tag_name().namespace() == Some(namespace)
}

/// The child elements.
pub(super) fn children<'a, 'i>(node: Node<'a, 'i>) -> Vec<Node<'a, 'i>> {
    node.children().filter(Node::is_element).collect()
}

/// The child elements of this name.
pub(super) fn children_named<'a, 'i>(
    node: Node<'a, 'i>,
    namespace: &str,
    name: &str,
) -> Vec<Node<'a, 'i>> {
    node.children().filter(|child| has_name(*child, namespace, name)).collect()
}

/// The only child element with this name; `None` if there is none or several.
pub(super) fn only_child<'a, 'i>(
    node: Node<'a, 'i>,
    namespace: &str,
    name: &str,
) -> Option<Node<'a, 'i>> {
    match children_named(node, namespace, name).as_slice() {
        [child] => Some(*child),
        _ => None,
    }
}

/// A value without the white space around it, which the types `xs:anyURI`, `xs:NCName` and `xs:dateTime` collapse (XML
/// Schema Part 2 sections 3.2.7, 3.2.17 and 4.3.6). Not for strings, such as a NameID, an issuer or an attribute's value,
/// and not for what a signature refers to.
pub(super) fn collapsed(value: &str) -> &str {
    value.trim_matches([' ', '\t', '\n', '\r'])
}

/// The text of an element without child elements. Comments split it into several nodes, which are joined.
pub(super) fn text(node: Node<'_, '_>) -> Result<String, &'static str> {
    match children(node).is_empty() {
        true => Ok(node.children().filter(Node::is_text).filter_map(|t| t.text()).collect()),
        false => Err("an element contains others where text is expected"),
    }
}
