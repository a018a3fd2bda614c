//! What a program said on standard output and standard error, line by line, as it says it.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

#[derive(Default)]
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Log {
    /// Reads `stream` to its end in a thread of its own. A line that is no UTF-8 is kept, with
    /// replacement characters.
    pub fn listen(&mut self, stream: impl Read + Send + 'static) {
        let lines = Arc::clone(&self.lines);
        self.readers.push(std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                lines.lock().unwrap().push(text);
                line.clear();
            }
        }));
    }

    /// Everything said so far.
    pub fn text(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Waits for the ends of the streams; call it when the program has ended.
    pub fn finish(&mut self) {
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
    }
}
