//! `limits`: limits on concurrent use by clients. `retention`: how long records about users are kept.

use std::time::Duration;

use countersign_config::Section;
use countersign_core::Limits;

use super::lifetimes::lifetime;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// The audit log.
    pub events: Duration,
    /// Group memberships of the past.
    pub memberships: Duration,
}

/// 400 days: a year, plus time to examine it.
const RETENTION: Duration = Duration::from_hours(400 * 24);

pub fn read_limits(root: &Section<'_>) -> Limits {
    let mut limits = Limits::default();
    let Some(section) = root.section("limits") else { return limits };
    let number = |block: &Section<'_>, key: &'static str, min: u64, max: u64| {
        block.number(key, min, max).and_then(|found| usize::try_from(found).ok())
    };
    if let Some(found) = number(&section, "connections", 16, 1_000_000) {
        limits.connections = found;
    }
    if let Some(found) = section.number("streamsPerConnection", 1, 1000) {
        limits.streams_per_connection = u32::try_from(found).unwrap_or(u32::MAX);
    }
    if let Some(found) = number(&section, "requestBodies", 1, 100_000) {
        limits.request_bodies = found;
    }
    // hyper does not accept less than 8 KiB.
    if let Some(found) = number(&section, "headerBytes", 8 * 1024, 1024 * 1024) {
        limits.header_bytes = found;
    }
    let device = &mut limits.device_requests;
    if let Some(found) = section.number("deviceRequests", 1, 100_000) {
        device.total = u32::try_from(found).unwrap_or(u32::MAX);
    }
    if let Some(found) = section.number("deviceRequestsPerAddress", 1, 100_000) {
        device.per_address = u32::try_from(found).unwrap_or(u32::MAX);
    }
    if let Some(found) = number(&section, "unansweredCommits", 1, 1_000_000) {
        limits.unanswered_commits = found;
    }
    if let Some(block) = section.section("passwordHashing") {
        limits.hashing_threads = number(&block, "threads", 1, 256);
        if let Some(found) = number(&block, "queue", 0, 10_000) {
            limits.hashing_queue = found;
        }
        block.finish();
    }
    section.finish();
    limits
}

pub fn read_retention(root: &Section<'_>) -> RetentionPolicy {
    let section = root.section("retention");
    let read = |key| lifetime(section.as_ref(), key).unwrap_or(RETENTION);
    let retention = RetentionPolicy { events: read("events"), memberships: read("memberships") };
    if let Some(section) = section {
        section.finish();
    }
    retention
}
