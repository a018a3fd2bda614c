//! What a call carries beside its message.

use std::net::IpAddr;
use std::sync::Arc;

use countersign_issuer::Issuer;
use countersign_issuer::admin::Administrator;

use crate::GrpcSettings;

/// Who calls, and whom.
pub struct Call {
    pub issuer: Arc<Issuer>,
    pub settings: GrpcSettings,
    pub administrator: Administrator,
    /// `None`: not known.
    pub address: Option<IpAddr>,
}
