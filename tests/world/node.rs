//! A program of tests/upstreams: a small script around a library of other people's, run by Node.js. One JSON
//! object a line each way: it answers each order with `{"done": …}`, and says beside that what it saw.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// How long it may take to begin, or to answer, on a busy machine. Not a sleep.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Node {
    script: &'static str,
    process: Child,
    orders: ChildStdin,
    done: Receiver<Value>,
    saw: Arc<Mutex<Vec<Value>>>,
}

impl Node {
    /// Starts this file of the installed project. `Need::Upstreams` has been checked before.
    pub fn runs(script: &'static str) -> Self {
        let provider = std::env::var_os("COUNTERSIGN_UPSTREAMS");
        let provider = std::path::PathBuf::from(provider.expect("checked by Need::Upstreams"));
        let mut process = Command::new("node")
            .arg(provider.with_file_name(script))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it can be started");
        let orders = process.stdin.take().unwrap();
        let (tell, done) = channel();
        let saw = Arc::<Mutex<Vec<Value>>>::default();
        let (lines, seen) = (BufReader::new(process.stdout.take().unwrap()).lines(), saw.clone());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
                match line["done"].is_null() {
                    true => seen.lock().unwrap().push(line),
                    false => drop(tell.send(line)),
                }
            }
        });
        let (complaints, seen) = (process.stderr.take().unwrap(), saw.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(complaints).lines().map_while(Result::ok) {
                seen.lock().unwrap().push(json!({"saw": "a complaint of its own", "line": line}));
            }
        });
        Self { script, process, orders, done, saw }
    }

    /// Gives it an order, and returns what it answers.
    pub fn does(&mut self, order: Value) -> Value {
        writeln!(self.orders, "{order}").unwrap();
        let done = self.done.recv_timeout(PATIENCE);
        let done = done.unwrap_or_else(|e| panic!("{order}: {e}; it saw {:?}", self.saw));
        assert_eq!(done["done"], order["op"]);
        done
    }

    /// What it noticed so far of this kind.
    pub fn saw(&mut self, what: &str) -> Vec<Value> {
        // Its lines come in order: what it saw before this is here afterwards.
        self.does(json!({"op": "look"}));
        let saw = self.saw.lock().unwrap();
        saw.iter().filter(|line| line["saw"] == what).cloned().collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- {} saw:\n{:#?}", self.script, self.saw.lock());
        }
    }
}
