//! The format of pprof: `profile.proto` in protocol buffers (the field numbers are its own). It is written here, because
//! the encoders of the library pprof bring a second version of prost or of protobuf.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use pprof::Symbol;

use super::CodeMappings;

/// A stack as often as it was seen, the innermost address first.
pub struct Stack {
    pub thread: String,
    pub addresses: Vec<usize>,
    pub count: isize,
}

pub struct Timing {
    pub samples_per_second: i32,
    pub begun: SystemTime,
    pub nanoseconds: u128,
}

/// The function shown for a sample whose stack could not be followed.
const NO_STACK: &str = "(no frame pointer)";

pub struct ProfileBuilder {
    code: CodeMappings,
    message: Message,
    strings: Strings,
    /// The number of each location, by its address; 0 is [`NO_STACK`].
    locations: HashMap<usize, u64>,
    /// The number of each function, by name and file.
    functions: HashMap<(String, String), u64>,
    nanoseconds_per_sample: i64,
}

impl ProfileBuilder {
    pub fn new(code: CodeMappings, timing: &Timing) -> Self {
        let mut strings = Strings::default();
        let mut message = Message::default();
        for (kind, unit) in [("samples", "count"), ("cpu", "nanoseconds")] {
            message.message(1, &value_type(&mut strings, kind, unit));
        }
        for (number, mapping) in (1_u64..).zip(code.iter()) {
            let mut entry = Message::default();
            entry.number(1, number);
            entry.number(2, mapping.start as u64);
            entry.number(3, mapping.end as u64);
            entry.number(4, mapping.file_offset);
            entry.number(5, strings.number(&mapping.file));
            message.message(3, &entry);
        }
        let nanoseconds_per_sample = 1_000_000_000 / i64::from(timing.samples_per_second.max(1));
        let begun = timing.begun.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        message.number(9, u64::try_from(begun).unwrap_or_default());
        message.number(10, u64::try_from(timing.nanoseconds).unwrap_or_default());
        message.message(11, &value_type(&mut strings, "cpu", "nanoseconds"));
        message.number(12, nanoseconds_per_sample.unsigned_abs());
        let (locations, functions) = (HashMap::new(), HashMap::new());
        Self { code, message, strings, locations, functions, nanoseconds_per_sample }
    }

    pub fn code(&self) -> &CodeMappings {
        &self.code
    }

    pub fn knows(&self, address: usize) -> bool {
        self.locations.contains_key(&address)
    }

    /// `symbols`: the functions at this return address, the innermost inlined one first. Empty: the program was built
    /// without symbols, which `go tool pprof` can add from the address.
    pub fn add_location(&mut self, address: usize, symbols: Vec<Symbol>) {
        let number = self.locations.len() as u64 + 1;
        self.locations.insert(address, number);
        let mut entry = Message::default();
        entry.number(1, number);
        entry.number(2, self.code.position(address).map_or(0, |index| index as u64 + 1));
        // The call is before the return address.
        entry.number(3, address.saturating_sub(1) as u64);
        for symbol in symbols.iter().filter(|symbol| symbol.name.is_some()) {
            let file = symbol.filename.as_ref().map(|_| symbol.filename().into_owned());
            let mut line = Message::default();
            line.number(1, self.function(symbol.name(), file.unwrap_or_default()));
            line.number(2, u64::from(symbol.lineno()));
            entry.message(4, &line);
        }
        self.message.message(4, &entry);
    }

    pub fn add_stack(&mut self, stack: &Stack) {
        let known = |address| self.locations.get(address).copied();
        let mut locations: Vec<u64> = stack.addresses.iter().filter_map(known).collect();
        if locations.is_empty() {
            if !self.knows(0) {
                self.add_unknown_location();
            }
            locations.extend(self.locations.get(&0));
        }
        let count = i64::try_from(stack.count).unwrap_or_default();
        let values = [count, count.saturating_mul(self.nanoseconds_per_sample)];
        let mut label = Message::default();
        label.number(1, self.strings.number("thread"));
        label.number(2, self.strings.number(&stack.thread));
        let mut sample = Message::default();
        sample.numbers(1, &locations);
        sample.numbers(2, &values.map(i64::unsigned_abs));
        sample.message(3, &label);
        self.message.message(2, &sample);
    }

    fn add_unknown_location(&mut self) {
        let number = self.locations.len() as u64 + 1;
        self.locations.insert(0, number);
        let mut line = Message::default();
        line.number(1, self.function(NO_STACK.to_owned(), String::new()));
        let mut entry = Message::default();
        entry.number(1, number);
        entry.message(4, &line);
        self.message.message(4, &entry);
    }

    fn function(&mut self, name: String, file: String) -> u64 {
        let next = self.functions.len() as u64 + 1;
        let key = (name, file);
        if let Some(number) = self.functions.get(&key) {
            return *number;
        }
        let mut entry = Message::default();
        entry.number(1, next);
        entry.number(2, self.strings.number(&key.0));
        entry.number(3, self.strings.number(&key.0));
        entry.number(4, self.strings.number(&key.1));
        self.message.message(5, &entry);
        self.functions.insert(key, next);
        next
    }

    pub fn finish(mut self) -> Vec<u8> {
        for text in &self.strings.list {
            self.message.bytes(6, text.as_bytes());
        }
        self.message.0
    }
}

fn value_type(strings: &mut Strings, kind: &str, unit: &str) -> Message {
    let mut message = Message::default();
    message.number(1, strings.number(kind));
    message.number(2, strings.number(unit));
    message
}

/// The string table; its first entry is empty.
struct Strings {
    list: Vec<String>,
    numbers: HashMap<String, u64>,
}

impl Default for Strings {
    fn default() -> Self {
        Self { list: vec![String::new()], numbers: HashMap::from([(String::new(), 0)]) }
    }
}

impl Strings {
    fn number(&mut self, text: &str) -> u64 {
        let next = self.list.len() as u64;
        let number = *self.numbers.entry(text.to_owned()).or_insert(next);
        if number == next {
            self.list.push(text.to_owned());
        }
        number
    }
}

/// A message of protocol buffers.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        loop {
            let [low, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                self.0.push(low);
                return;
            }
            self.0.push(low | 0x80);
        }
    }

    fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3);
        self.varint(value);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint((field << 3) | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }

    /// A repeated number, packed.
    fn numbers(&mut self, field: u64, values: &[u64]) {
        let mut packed = Self::default();
        for value in values {
            packed.varint(*value);
        }
        self.message(field, &packed);
    }
}

#[cfg(test)]
mod tests {
    use super::Message;

    /// The examples of the protocol buffers documentation (Encoding).
    #[test]
    fn messages_are_encoded_as_the_specification_shows() {
        let mut message = Message::default();
        message.number(1, 150);
        assert_eq!(message.0, [0x08, 0x96, 0x01]);
        let mut text = Message::default();
        text.bytes(2, b"testing");
        assert_eq!(text.0, [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]);
        let mut nested = Message::default();
        nested.message(3, &message);
        assert_eq!(nested.0, [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let mut packed = Message::default();
        packed.numbers(6, &[3, 270, 86_942]);
        assert_eq!(packed.0, [0x32, 0x06, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05]);
    }
}
