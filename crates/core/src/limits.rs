//! Limits on the resources that clients use concurrently: the block `limits` of the configuration.

/// Every value is at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections per listener; further connections are closed at once.
    pub connections: usize,
    /// Concurrent streams of one HTTP/2 connection (RFC 9113 section 5.1.2).
    pub streams_per_connection: u32,
    /// Concurrent request bodies over all connections, counted as 64 KiB of memory each; short bodies use less. When
    /// the memory is exhausted, further requests with a body are answered with 503.
    pub request_bodies: usize,
    /// Maximum size of request line and headers, in bytes.
    pub header_bytes: usize,
    /// Threads that verify passwords. Each keeps the memory of one verification (19 MiB for argon2id hashes
    /// with the parameters of `hash-password`). `None`: the number of cores, at most 4.
    pub hashing_threads: Option<usize>,
    /// Password verifications waiting for a thread; further logins are answered with 503.
    pub hashing_queue: usize,
    pub device_requests: DeviceRequestLimits,
    /// Codes and refresh tokens used by a COMMIT without an answer that are remembered while the database is
    /// unavailable, to revert their use; the oldest are dropped.
    pub unanswered_commits: usize,
}

/// Limits on pending device authorization requests (RFC 8628). They are stored before a user has authenticated, so
/// there is no other limit on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRequestLimits {
    /// Of all addresses together.
    pub total: u32,
    /// From one address; an IPv6 address is counted by its /64 prefix.
    pub per_address: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2048,
            streams_per_connection: 32,
            request_bodies: 256,
            header_bytes: 96 * 1024,
            hashing_threads: None,
            hashing_queue: 64,
            device_requests: DeviceRequestLimits { total: 2000, per_address: 50 },
            unanswered_commits: 1024,
        }
    }
}
