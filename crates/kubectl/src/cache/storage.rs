//! Where tokens are kept: the flag `--token-cache-storage`, with kubelogin's values.

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TokenCacheStorage {
    /// A file that only its owner can read
    Disk,
    /// The system's keyring, and never a file
    Keyring,
    /// Nowhere: every call signs in
    None,
}
