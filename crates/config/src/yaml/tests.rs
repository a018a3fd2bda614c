use crate::{Mark, Node, Value};

use super::parse;

fn complaint(text: &str) -> String {
    match parse(text) {
        Ok(_) => "fine".to_owned(),
        Err(error) => {
            format!("{}:{}: {}", error.mark.line, error.mark.column, error.message)
        }
    }
}

fn scalar(line: usize, column: usize, text: &str, plain: bool) -> Node {
    let value = Value::Scalar { text: text.into(), plain };
    Node { mark: Mark { line, column }, value }
}

fn entries(node: Node) -> Vec<(String, Mark, Node)> {
    let Value::Map(entries) = node.value else { panic!("not a map") };
    entries.into_iter().map(|(key, node)| (key.text, key.mark, node)).collect()
}

#[test]
fn every_key_and_value_has_its_place() {
    let root = parse("\u{feff}# head\na: x\nb:\n  - \"5\"\n  - ~\nc: !!str 7\n").unwrap();
    let list = Value::List(vec![
        scalar(4, 5, "5", false),
        Node { mark: Mark { line: 5, column: 5 }, value: Value::Null },
    ]);
    let at = |line, column| Mark { line, column };
    assert_eq!(
        entries(root),
        [
            ("a".into(), at(2, 1), scalar(2, 4, "x", true)),
            ("b".into(), at(3, 1), Node { mark: at(4, 3), value: list }),
            ("c".into(), at(6, 1), scalar(6, 10, "7", false)),
        ]
    );
}

#[test]
fn an_empty_file_is_null() {
    for text in ["", "# nothing\n", "---\n", "null"] {
        assert_eq!(parse(text).unwrap().value, Value::Null, "{text:?}");
    }
}

#[test]
fn what_is_not_one_yaml_document_is_refused_with_its_place() {
    for (text, expected) in [
        ("a: [1, 2", "1:4: is not YAML: unclosed bracket '['"),
        ("a: 1\n b: 2\n", "2:3: is not YAML: mapping values are not allowed in this context"),
        (
            "a:\n\tb: 2\n",
            "2:2: is not YAML: tabs disallowed within this context (block indentation)",
        ),
        ("a: \"x\n", "1:4: is not YAML: unclosed quote"),
        ("a: 1\n---\nb: 2\n", "2:1: is a second document; there must be one"),
        ("%YAML 1.1\n---\na: 1\n", "1:1: is not YAML: YAML directives are disallowed"),
        ("a: !ruby/object x\n", "1:17: has a tag that is not supported"),
        ("? [a]\n: b\n", "1:3: is a key and is not text"),
        ("a: *b\n", "1:4: is not YAML: while parsing node, found unknown anchor"),
        ("a: &a [*a]\n", "1:8: is an alias within what it names"),
        ("a: &a x\nb:\n  <<: *a\n", "1:7: is merged by << and is not a map"),
    ] {
        assert_eq!(complaint(text), expected, "{text:?}");
    }
}

#[test]
fn a_bomb_does_not_go_off() {
    let mut bomb = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(complaint(&bomb).ends_with("aliases copy more than a configuration needs"));

    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    assert_eq!(complaint(&deep), "1:65: is not YAML: recursion limit exceeded");

    let mut chain = "a0: &a0 [x]\n".to_owned();
    for level in 1..100 {
        chain.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(complaint(&chain).ends_with("is nested deeper than 64"));
}

#[test]
fn maps_are_merged_and_the_nearer_wins() {
    let root =
        parse("base: &base {a: 1, b: 2}\nuse:\n  <<: *base\n  B: 3\nlist: {<<: [*base, {c: 4}]}\n");
    let mut root = entries(root.unwrap());
    let texts =
        |node: Node| -> Vec<String> { entries(node).into_iter().map(|(key, ..)| key).collect() };
    assert_eq!(texts(root.pop().unwrap().2), ["a", "b", "c"]);
    assert_eq!(texts(root.pop().unwrap().2), ["B", "a"]);
}
