//! Parses the output of `mysqldump`, `mariadb-dump` or `pg_dump`: its CREATE TABLE, INSERT and COPY statements.
//!
//! Only the SQL that these programs write is supported. Other statements are skipped.

mod scan;

use std::collections::BTreeMap;

use countersign_store::dex::{DexDatabase, DexRow};

use crate::ReadError;
use scan::{Dialect, Literal, Scanner};

/// Column names with their types, in the order of the table.
type Columns = Vec<(String, String)>;

pub(crate) fn read(text: &str) -> Result<DexDatabase, ReadError> {
    let mut dump = Dump { tables: BTreeMap::new(), rows: BTreeMap::new() };
    let mut scanner = Scanner::new(text);
    while scanner.skip_to_statement() {
        if scanner.keywords(&["CREATE", "TABLE"]) {
            dump.create_table(&mut scanner)?;
        } else if scanner.keywords(&["INSERT", "INTO"]) {
            dump.insert(&mut scanner)?;
        } else if scanner.keywords(&["COPY"]) {
            dump.copy(&mut scanner)?;
        } else {
            scanner.skip_statement();
        }
    }
    if dump.tables.is_empty() {
        return Err(ReadError::Format("it has no CREATE TABLE statement".to_owned()));
    }
    let names: Vec<String> = dump.tables.keys().cloned().collect();
    DexDatabase::new(&names, dump.rows)
        .ok_or_else(|| ReadError::Format("none of its tables are Dex's".to_owned()))
}

struct Dump {
    tables: BTreeMap<String, Columns>,
    rows: BTreeMap<String, Vec<DexRow>>,
}

impl Dump {
    fn create_table(&mut self, scanner: &mut Scanner<'_>) -> Result<(), ReadError> {
        scanner.keywords(&["IF", "NOT", "EXISTS"]);
        let table = scanner.name()?;
        scanner.expect('(')?;
        let mut columns = Columns::new();
        loop {
            // Otherwise it is a constraint or a key.
            let is_column =
                !["PRIMARY", "KEY", "UNIQUE", "CONSTRAINT", "INDEX", "FOREIGN", "CHECK"]
                    .iter()
                    .any(|word| scanner.is_at_keyword(word));
            if is_column {
                columns.push((scanner.name()?, scanner.word().to_lowercase()));
            }
            if !scanner.skip_to_next_in_list()? {
                break;
            }
        }
        scanner.skip_statement();
        self.tables.insert(table, columns);
        Ok(())
    }

    fn insert(&mut self, scanner: &mut Scanner<'_>) -> Result<(), ReadError> {
        let table = scanner.name()?;
        let columns = self.columns(scanner, &table)?;
        if !scanner.keywords(&["VALUES"]) {
            return Err(scanner.error("VALUES is missing"));
        }
        loop {
            scanner.expect('(')?;
            let mut values = vec![scanner.literal()?];
            while scanner.take(',') {
                values.push(scanner.literal()?);
            }
            scanner.expect(')')?;
            let row = row(&columns, values, scanner)?;
            self.rows.entry(table.clone()).or_default().push(row);
            if !scanner.take(',') {
                break;
            }
        }
        scanner.expect(';')
    }

    fn copy(&mut self, scanner: &mut Scanner<'_>) -> Result<(), ReadError> {
        let table = scanner.name()?;
        let columns = self.columns(scanner, &table)?;
        scanner.skip_line();
        while let Some(line) = scanner.line().filter(|line| *line != "\\.") {
            let values = line.split('\t').map(|field| match field {
                "\\N" => Literal::Null,
                field => Literal::Text(copy_unescaped(field)),
            });
            let row = row(&columns, values.collect(), scanner)?;
            self.rows.entry(table.clone()).or_default().push(row);
        }
        Ok(())
    }

    /// The columns named by the statement, otherwise all columns of the table.
    fn columns(&self, scanner: &mut Scanner<'_>, table: &str) -> Result<Columns, ReadError> {
        let created = self.tables.get(table);
        let all =
            created.ok_or_else(|| scanner.error(&format!("no CREATE TABLE {table} before")))?;
        if !scanner.take('(') {
            return Ok(all.clone());
        }
        let mut named = Columns::new();
        loop {
            let name = scanner.name()?;
            let of_table = all.iter().find(|(known, _)| *known == name);
            let kind = of_table.map(|(_, kind)| kind.clone()).unwrap_or_default();
            named.push((name, kind));
            if !scanner.take(',') {
                break;
            }
        }
        scanner.expect(')')?;
        Ok(named)
    }
}

fn row(
    columns: &Columns,
    values: Vec<Literal>,
    scanner: &Scanner<'_>,
) -> Result<DexRow, ReadError> {
    if columns.len() != values.len() {
        return Err(scanner.error("a row has another number of values than its table has columns"));
    }
    let mut row = DexRow::new();
    for ((name, kind), value) in columns.iter().zip(values) {
        let text = match value {
            Literal::Null => None,
            Literal::Text(text) if kind == "bytea" => Some(bytea(&text, scanner)?),
            Literal::Text(text) => Some(text),
            Literal::Hex(digits) => Some(from_hex(&digits, scanner)?),
        };
        row.insert(name.clone(), text);
    }
    Ok(row)
}

/// PostgreSQL's hex format; no supported version writes the older escape format.
fn bytea(text: &str, scanner: &Scanner<'_>) -> Result<String, ReadError> {
    match text.strip_prefix("\\x") {
        Some(digits) => from_hex(digits, scanner),
        None => Ok(text.to_owned()),
    }
}

fn from_hex(digits: &str, scanner: &Scanner<'_>) -> Result<String, ReadError> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    let bytes: Option<Vec<u8>> = pairs.collect();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| scanner.error("a value in hex is not text in UTF-8"))
}

/// The escapes of COPY's text format.
fn copy_unescaped(field: &str) -> String {
    scan::unescaped(field, Dialect::Copy)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn rows_of_mysqldump_keep_quotes_escapes_and_hex() {
        let dump = "-- MySQL dump 10.13\n/*!40101 SET NAMES utf8mb4 */;\n\
            CREATE TABLE `offline_session` (\n  `user_id` varchar(384) NOT NULL\n);\n\
            CREATE TABLE `client` (\n  `id` varchar(384) NOT NULL,\n  `secret` varchar(384),\n  \
            `redirect_uris` blob,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB;\n\
            INSERT INTO `client` VALUES ('a','it\\'s; \"x\" \\\\ y',0x5B5D),('b',NULL,_binary '[\\\"u\\\"]');\n";
        let read = read(dump).unwrap();
        let rows = &read.tables["client"];
        assert_eq!(rows[0]["secret"].as_deref(), Some("it's; \"x\" \\ y"));
        assert_eq!(rows[0]["redirect_uris"].as_deref(), Some("[]"));
        assert_eq!(rows[1]["secret"], None);
        assert_eq!(rows[1]["redirect_uris"].as_deref(), Some("[\"u\"]"));
    }

    #[test]
    fn rows_of_pg_dump_are_read_from_copy_and_from_inserts() {
        let dump = "SET x = 'y';\nCREATE TABLE public.offline_session (\n    user_id text\n);\nCREATE TABLE public.client (\n    id text NOT NULL,\n    \
            redirect_uris bytea NOT NULL,\n    public boolean\n);\n\
            COPY public.client (id, redirect_uris, public) FROM stdin;\n\
            a\\tb\t\\\\x5b5d\tt\nc\t\\\\x6e756c6c\t\\N\n\\.\n\n\
            INSERT INTO public.client VALUES ('d''\\', '\\x5b5d', false);\n";
        let read = read(dump).unwrap();
        let rows = &read.tables["client"];
        assert_eq!(rows[0]["id"].as_deref(), Some("a\tb"));
        assert_eq!(rows[0]["redirect_uris"].as_deref(), Some("[]"));
        assert_eq!(rows[1]["public"], None);
        assert_eq!(rows[2]["id"].as_deref(), Some("d'\\"));
        assert_eq!(rows[2]["redirect_uris"].as_deref(), Some("[]"));
    }

    #[test]
    fn another_dump_is_refused_and_so_is_a_truncated_one() {
        assert!(read("CREATE TABLE t (a int);\nINSERT INTO t VALUES (1);").is_err());
        assert!(read("CREATE TABLE client (id text);\nINSERT INTO client VALUES ('a").is_err());
        assert!(read("").is_err());
    }
}
