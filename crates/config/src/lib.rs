//! Reading a configuration file.
//!
//! [`load()`] parses the YAML text into a tree with positions, expands environment variables where Dex does, and passes
//! the root to a reader. A reader takes each key from a [`Section`] with a typed getter ([`Section::text`],
//! [`Section::duration`], …) and reports invalid values; [`Section::finish`] reports unknown and repeated keys. Reading
//! continues after a problem. Keys are matched case-insensitively, like Go's JSON in Dex. Messages do not contain
//! secrets.
//!
//! This crate knows no keys except those whose values it expands. `countersign::config` reads the blocks of
//! Countersign's file, and `countersign-connectors` those of each connector type.

mod expand;
mod files;
mod item;
mod load;
mod problem;
mod section;
mod yaml;

pub use expand::Environment;
pub use files::{FilesRead, read_text, readable_by_others};
pub use item::Item;
pub use load::{Loaded, load, read, read_tree};
pub use problem::{Problem, Problems, Severity, did_you_mean, nearest};
pub use section::Section;
pub use yaml::{Key, Mark, Node, Value, parse as parse_yaml};

#[cfg(test)]
mod tests;
