//! What could not be looked at.

/// Something that `whydrop list` could not look at.
#[derive(Clone, Debug)]
pub struct Missing {
    /// `None` where it is not about one namespace.
    pub netns: Option<u32>,
    pub why: String,
}
