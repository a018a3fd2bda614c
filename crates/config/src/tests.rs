use crate::{Key, Mark, Node, Problems, Section, Value};

fn plain(line: usize, text: &str) -> Node {
    let value = Value::Scalar { text: text.into(), plain: true };
    Node { mark: Mark { line, column: 10 }, value }
}

fn map(entries: Vec<(&str, Node)>) -> Node {
    let key = |(text, node): (&str, Node)| {
        (Key { mark: Mark { line: node.mark.line, column: 1 }, text: text.into() }, node)
    };
    Node {
        mark: Mark { line: 1, column: 1 },
        value: Value::Map(entries.into_iter().map(key).collect()),
    }
}

fn complaints(problems: Problems) -> Vec<String> {
    problems.into_sorted().iter().map(ToString::to_string).collect()
}

#[test]
fn every_problem_is_reported_with_its_position() {
    let node = map(vec![
        ("Issuer", plain(1, "http://127.0.0.1/dex")),
        ("isuer", plain(2, "x")),
        ("port", plain(3, "70000")),
        ("port", plain(4, "1")),
        ("name", plain(5, "5556")),
        ("ttl", plain(6, "5 minutes")),
    ]);
    let problems = Problems::default();
    let section = Section::root(&node, &problems).unwrap();
    assert_eq!(section.text("issuer").as_deref(), Some("http://127.0.0.1/dex"));
    assert_eq!(section.number("port", 1, 65_535), None);
    assert_eq!(section.text("name"), None);
    assert_eq!(section.duration("ttl"), None);
    assert_eq!(section.required_text("storage"), None);
    section.finish();
    assert_eq!(
        complaints(problems),
        [
            "1:1: storage: is missing",
            "2:1: isuer: is not a known key, did you mean issuer?",
            "3:10: port: found a plain value, expected a whole number from 1 to 65535",
            "4:1: port: is given twice",
            "5:10: name: found 5556, expected text: put it in quotes",
            "6:10: ttl: found \"5 minutes\", expected a duration such as 10m or 1h30m",
        ]
    );
}

#[test]
fn a_secret_of_the_wrong_type_is_not_repeated() {
    let node = map(vec![
        ("bindPW", plain(1, "123456")),
        ("other", plain(2, "text")),
        ("empty", plain(3, "")),
    ]);
    let problems = Problems::default();
    let section = Section::root(&node, &problems).unwrap();
    assert!(section.secret("bindPW").is_none());
    assert!(section.required_secret("other").unwrap().matches("text"));
    assert!(section.required_secret("empty").is_none());
    assert_eq!(
        complaints(problems),
        [
            "1:10: bindPW: found a number or boolean, expected text: put it in quotes",
            "3:10: empty: is empty",
        ]
    );
}

#[test]
fn the_keys_of_a_reader_are_remembered_without_indices() {
    let entry = map(vec![("name", plain(2, "a")), ("mfaChain", plain(3, "b"))]);
    let list = Node { mark: Mark { line: 1, column: 1 }, value: Value::List(vec![entry]) };
    let node = map(vec![("clients", list)]);
    let problems = Problems::default();
    let section = Section::root(&node, &problems).unwrap();
    for client in section.sections("clients") {
        client.text("name");
        client.not_supported("mfaChain", true);
        client.ignored("nothing", "it is absent");
        client.finish();
    }
    section.finish();
    assert_eq!(problems.known_keys(), ["clients", "clients[].name"]);
    assert_eq!(
        complaints(problems),
        ["3:10: clients[0].mfaChain: is a key of Dex that is not supported yet"]
    );
}
