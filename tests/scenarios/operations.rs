//! Operation: configuration, start and stop, replicas, crashes, overload, logs.

pub mod configuration;
pub mod crashes;
pub mod database_down;
pub mod documentation;
pub mod logs_and_metrics;
pub mod memory;
pub mod monitoring;
pub mod overload;
pub mod reload;
pub mod replicas;
pub mod root_key;
pub mod sqlite_files;
pub mod start_and_stop;
pub mod true_messages;
