//! Operation: configuration, start and stop, replicas, crashes, overload, logs.

pub mod clock_jumps;
pub mod configuration;
pub mod continuous_clients;
pub mod crashes;
pub mod database_down;
pub mod database_faults;
pub mod documentation;
pub mod logs_and_metrics;
pub mod memory;
pub mod mixed_versions;
pub mod monitoring;
pub mod overload;
pub mod profiling;
pub mod reload;
pub mod replicas;
pub mod root_key;
pub mod scarce_resources;
pub mod soak;
pub mod sqlite_files;
pub mod start_and_stop;
pub mod traces;
pub mod true_messages;
pub mod unanswered_commits;
pub mod uninterrupted_service;
