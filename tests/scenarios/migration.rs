//! Migration from Dex: its data, its configuration files, its clients.

mod data_sets;
mod files_of_dex;
pub mod grpc;
pub mod grpc_operations;
pub mod import;
pub mod starting;
