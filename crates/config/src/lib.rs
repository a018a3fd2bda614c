//! Reading a configuration file.
//!
//! [`load()`] turns the YAML text into a tree with positions, expands environment variables where Dex does,
//! and passes the root to a reader. A reader takes each key from a [`Section`] with a typed getter
//! ([`Section::text`], [`Section::duration`], …) and reports what is wrong with the value; [`Section::finish`]
//! reports unknown and repeated keys. Reading never stops at the first problem. Keys match without regard to
//! case, as Go's JSON does for Dex. No message repeats a secret.
//!
//! This crate knows no key of its own, except those it expands. The blocks of Countersign's file are read in
//! `countersign::config`, the blocks of each connector type in `countersign-connectors`.

mod expand;
mod files;
mod item;
mod load;
mod problem;
mod section;
mod tree;
mod yaml;

pub use expand::Environment;
pub use files::{read_text, readable_by_others};
pub use item::Item;
pub use load::{Loaded, load, read, read_tree};
pub use problem::{Problem, Problems, Severity, did_you_mean, nearest};
pub use section::Section;
pub use tree::{Key, Mark, Node, Value};
pub use yaml::parse as parse_yaml;

#[cfg(test)]
mod tests;
