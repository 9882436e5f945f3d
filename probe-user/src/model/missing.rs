//! What could not be looked at.

use std::sync::Arc;

use crate::model::netns_name::NetnsName;

/// Something that `whydrop list` could not look at.
#[derive(Clone, Debug)]
pub struct Missing {
    /// `None` where it is not about one namespace.
    pub netns: Option<u32>,
    /// What that namespace is called for people, where it has a name.
    pub netns_name: Option<Arc<NetnsName>>,
    /// The reason.
    pub why: String,
}
