use super::{Entry, hidden_entry, merge};

const BY_HAND: &str = "\
# my clusters
apiVersion: v1
kind: Config
preferences: {}
clusters:
- cluster:
    server: https://old.example:6443   # do not touch
  name: old
contexts:
  - name: old
    context: {cluster: old, user: old}
current-context: old
users:
- name: old
  user:
    token: \"abc\"
";

fn entry(name: &str) -> Entry {
    Entry {
        name: name.to_owned(),
        server: format!("https://{name}.example:6443"),
        certificate_authority_data: Some("Q0E=".to_owned()),
        namespace: Some("web".to_owned()),
        get_token_arguments: vec!["--oidc-issuer-url=https://id.example/dex".to_owned()],
    }
}

#[test]
fn what_was_there_stays_to_the_byte() {
    let merged = merge(BY_HAND, &[entry("prod"), entry("stage")], None).unwrap();
    let mut rest = merged.as_str();
    for line in BY_HAND.lines() {
        let at = rest.find(line).unwrap_or_else(|| panic!("{line:?} is gone from\n{merged}"));
        rest = &rest[at + line.len()..];
    }
    assert!(merged.contains("https://stage.example:6443"), "{merged}");
    assert!(merged.contains("current-context: old"), "{merged}");
    // Without the lines that are new it is the same file, byte for byte.
    let mut hers = BY_HAND.split_inclusive('\n').peekable();
    for line in merged.split_inclusive('\n') {
        hers.next_if_eq(&line);
    }
    assert_eq!(hers.next(), None, "changed:\n{merged}");
}

#[test]
fn an_entry_of_the_same_name_is_replaced() {
    let once = merge(BY_HAND, &[entry("prod")], Some("prod")).unwrap();
    let twice = merge(&once, &[entry("prod")], Some("prod")).unwrap();
    assert_eq!(twice.matches("https://prod.example:6443").count(), 1, "{twice}");
    assert!(twice.contains("current-context: prod"), "{twice}");
}

#[test]
fn the_same_again_changes_no_byte_and_a_namespace_that_was_set_stays() {
    let once = merge(BY_HAND, &[entry("prod")], Some("prod")).unwrap();
    assert_eq!(merge(&once, &[entry("prod")], Some("prod")).unwrap(), once);
    let edited = once.replace("namespace: \"web\"", "namespace: mine # for now");
    assert_ne!(edited, once);
    assert_eq!(merge(&edited, &[entry("prod")], None).unwrap(), edited);
    let moved = Entry { server: "https://moved.example".to_owned(), ..entry("prod") };
    let moved = merge(&edited, &[moved], None).unwrap();
    assert!(moved.contains("namespace: mine # for now"), "{moved}");
    assert!(moved.contains("https://moved.example"), "{moved}");
}

#[test]
fn a_foreign_entry_is_not_replaced() {
    let error = merge(BY_HAND, &[entry("old")], None).unwrap_err();
    assert!(error.to_string().contains("rename-context old"), "{error}");
}

#[test]
fn a_new_file_and_one_with_empty_lists_are_filled() {
    for text in ["", "apiVersion: v1\nkind: Config\nclusters: []\nusers: null\ncontexts:\n"] {
        let merged = merge(text, &[entry("prod"), entry("stage")], Some("prod")).unwrap();
        assert_eq!(merged.matches("name: \"stage\"").count(), 3, "{merged}");
    }
}

#[test]
fn what_is_no_kubeconfig_is_refused() {
    for text in ["- a\n", "clusters: 5\n", "clusters: {a: b}\n"] {
        assert!(merge(text, &[entry("prod")], None).is_err(), "{text}");
    }
}

/// As `kubectl config view --output=json` prints it.
const AS_JSON: &str = r#"{"kind": "Config", "apiVersion": "v1",
  "clusters": [{"name": "old", "cluster": {"server": "https://old.example:6443"}}],
  "users": [{"name": "old", "user": {"token": "abc"}}],
  "contexts": [{"name": "old", "context": {"cluster": "old", "user": "old"}}],
  "current-context": "old"}
"#;

/// As other programs and people write them: Windows' line ends, a comment before the document, anchors with aliases, flow
/// style. What was there stays, and the same again changes nothing.
#[test]
fn files_of_other_styles_keep_it() {
    let windows = BY_HAND.replace('\n', "\r\n");
    let with_anchors = BY_HAND
        .replace("- name: old\n  user:", "- name: old\n  user: &hers")
        .replace("clusters:\n", "clusters: # all\n")
        + "- name: again\n  user: *hers\n";
    let with_start = format!("# by hand\n---\n{BY_HAND}");
    for text in [windows.as_str(), &with_anchors, &with_start, AS_JSON] {
        let merged = merge(text, &[entry("prod")], None).unwrap();
        for server in ["https://old.example:6443", "https://prod.example:6443"] {
            assert_eq!(merged.matches(server).count(), 1, "{merged}");
        }
        for hers in ["abc", "&hers", "*hers", "# by hand\n---\n", "   # do not touch"] {
            assert_eq!(merged.matches(hers).count(), text.matches(hers).count(), "{merged}");
        }
        let has_windows_lines = text.contains('\r');
        assert!(
            merged.lines().count() == 1
                || merged.split_inclusive('\n').all(|l| l.ends_with("\r\n") == has_windows_lines),
            "{merged:?}"
        );
        assert_eq!(merge(&merged, &[entry("prod")], None).unwrap(), merged, "the same again");
    }
}

#[test]
fn several_documents_are_refused() {
    let error = merge(&format!("{BY_HAND}---\n{BY_HAND}"), &[entry("prod")], None).unwrap_err();
    assert!(error.to_string().contains("more than one YAML document"), "{error}");
}

/// Where the program is in no directory of PATH, somebody has written its whole path.
#[test]
fn the_path_of_this_program_stays() {
    let once = merge(BY_HAND, &[entry("prod")], None).unwrap();
    let edited = once.replace("\"kubectl-countersign\"", "/opt/bin/kubectl-countersign");
    assert_ne!(edited, once);
    let moved = Entry { server: "https://moved.example".to_owned(), ..entry("prod") };
    let merged = merge(&edited, &[moved], None).unwrap();
    assert!(merged.contains("/opt/bin/kubectl-countersign"), "{merged}");
    assert!(merged.contains("https://moved.example"), "{merged}");
}

/// KUBECONFIG names several files, and kubectl uses the entry of the first.
#[test]
fn an_entry_of_another_file_is_found_before_it_is_hidden() {
    assert_eq!(hidden_entry(BY_HAND, &[entry("prod"), entry("old")]), Some("old"));
    assert_eq!(hidden_entry(BY_HAND, &[entry("prod")]), None);
    let own = merge(BY_HAND, &[entry("prod")], None).unwrap();
    assert_eq!(hidden_entry(&own, &[entry("prod")]), None, "written by this program");
    assert_eq!(hidden_entry("not: [a kubeconfig", &[entry("prod")]), None);
}
