//! Environment variables and files.

use std::path::Path;

use countersign_store::Location;

use super::{lines, load, problems, read, with};
use crate::config::{RootKeys, load as load_file};

fn env(name: &str) -> Option<String> {
    match name {
        "DB" => Some("12345".into()),
        "SECRET" => Some("from-outside".into()),
        "EMPTY" => Some(String::new()),
        "KEY" => Some("0123456789abcdef0123456789abcdef".into()),
        _ => None,
    }
}

const BLOCKS: &str = "rootKey: $KEY$KEY$KEY$KEY$KEY$KEY$KEY$KEY
Storage: {type: postgres, Config: {database: $DB, user: u, password: 'a$$b'}}
signer: {config: {algorithm: RS256}}
staticClients: [{id: $DB, name: $DB, secretEnv: SECRET, redirectURIs: ['https://a.example/$DB']}]
";

#[test]
fn variables_are_expanded_in_three_blocks_only() {
    let text = with(BLOCKS).replace("storage: {type: memory}\n", "");
    let config = read(&text, Path::new("x"), &env, false).config.unwrap();
    let Location::Postgres(pg) = &config.storage else { panic!("postgres") };
    assert_eq!(pg.database, "12345", "text although it looks like a number");
    assert!(pg.password.matches("a$b"));
    let client = config.clients.first().unwrap();
    assert_eq!(client.id.as_str(), "$DB");
    assert_eq!(client.redirect_uris, ["https://a.example/$DB"]);
    assert!(client.secret.as_ref().unwrap().matches("from-outside"));
    let RootKeys::Keys(keys) = &config.root_keys else { panic!("given") };
    assert!(keys.first().unwrap().matches("$KEY$KEY$KEY$KEY$KEY$KEY$KEY$KEY"));
}

#[test]
fn expansion_can_be_turned_off() {
    let text = with(BLOCKS).replace("storage: {type: memory}\n", "");
    let off = |name: &str| if name == "DEX_EXPAND_ENV" { Some("false".into()) } else { env(name) };
    let config = read(&text, Path::new("x"), &off, false).config.unwrap();
    let Location::Postgres(pg) = &config.storage else { panic!("postgres") };
    assert_eq!(pg.database, "$DB");
    assert!(pg.password.matches("a$$b"));
}

#[test]
fn an_unset_variable_is_an_error_at_its_position() {
    assert_eq!(
        problems(
            "storage: {type: sqlite3, config: {file: \"/var/${NOWHERE}/x\"}}
connectors: [{type: mockPassword, id: m, name: M, config: {username: $ADMIN, password: p}}]
staticClients: [{id: a, name: A, secretEnv: NOWHERE, public: true}]
"
        ),
        [
            "2:41: storage.config.file: names the environment variable NOWHERE, which is not set (a dollar is written $$)",
            "3:70: connectors[0].config.username: names the environment variable ADMIN, which is not set (a dollar is written $$)",
            "4:45: staticClients[0].secretEnv: the environment variable NOWHERE is not set",
        ]
    );
    let text = with(
        "staticClients: [{idEnv: EMPTY, name: A, secretEnv: EMPTY, redirectURIs: ['https://a']}]",
    );
    assert_eq!(
        lines(&read(&text, Path::new("config.yaml"), &env, false)),
        [
            "2:25: staticClients[0].idEnv: the environment variable EMPTY is empty",
            "2:52: staticClients[0].secretEnv: the environment variable EMPTY is empty",
        ]
    );
}

#[test]
fn dollars_of_password_hashes_are_kept() {
    // Cost 10 of the password `password`, from Dex's example.
    let loaded = load(&with(
        "enablePasswordDB: true
staticPasswords:
- email: a@example.com
  hash: $2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W
  userID: a
",
    ));
    assert_eq!(loaded.to_string(), "");
    assert_eq!(loaded.config.unwrap().password_db.unwrap().users.len(), 1);
}

#[test]
fn the_default_root_key_is_a_file_beside_the_sqlite_database() {
    let config = super::config("storage: {type: sqlite3, config: {file: /var/x/cs.db}}");
    assert!(
        matches!(&config.root_keys, RootKeys::Beside(file) if file == Path::new("/var/x/cs.db.rootkey"))
    );
    let text = with("rootKeyEnv: [KEY, NOWHERE]\n");
    assert_eq!(
        lines(&read(&text, Path::new("config.yaml"), &env, false)),
        ["2:19: rootKeyEnv[1]: the environment variable \"NOWHERE\" is not set or empty"]
    );
}

#[cfg(unix)]
#[test]
fn files_readable_by_others_get_a_warning() {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let (file, key) = (dir.path().join("config.yaml"), dir.path().join("root-key"));
    write(&key, "0123456789abcdef0123456789abcdef\n").unwrap();
    let block = format!(
        "rootKeyFile: {}
connectors: [{{type: mockPassword, id: m, name: M, config: {{username: $DB, password: $SECRET}}}}]
staticClients: [{{id: a, name: A, secret: s, redirectURIs: ['https://a']}}]
",
        key.display()
    );
    write(&file, with(&block)).unwrap();
    let report = |mode| {
        set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        set_permissions(&key, Permissions::from_mode(mode)).unwrap();
        let loaded = load_file(&file, &env, false);
        let RootKeys::Keys(keys) = loaded.config.as_ref().unwrap().root_keys.clone() else {
            panic!("given")
        };
        assert!(keys.first().unwrap().matches("0123456789abcdef0123456789abcdef"));
        loaded.to_string()
    };
    assert_eq!(report(0o600), "");
    let name = file.display();
    assert_eq!(
        report(0o640),
        format!(
            "{name}:2:14: warning: rootKeyFile: the file can be opened by others than its owner (mode 0640, expected 0600)
{name}:4:42: warning: staticClients[0].secret: is a secret in a file that others than its owner can open (mode 0640, expected 0600)\n"
        )
    );
}

#[test]
fn an_unreadable_file_is_one_problem() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str, bytes: &[u8]| {
        let file = dir.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        load_file(&file, &env, false).to_string().replace(&file.display().to_string(), "FILE")
    };
    assert_eq!(at("latin1", b"a: 1\nb: \xe4\n"), "FILE: is not UTF-8 in line 2\n");
    assert_eq!(at("large", &vec![b'#'; 1024 * 1024 + 1]), "FILE: is larger than 1048576 bytes\n");
    let none = load_file(&dir.path().join("none"), &env, false);
    assert!(none.to_string().contains("none: cannot be read: "), "{none}");
    assert!(none.config.is_none());
}
