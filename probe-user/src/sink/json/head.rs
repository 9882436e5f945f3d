//! What every object begins with that may be the first of a stream: how it is to be read, and of which host it is.

use schemars::JsonSchema;
use serde::Serialize;

use super::SCHEMA;
use crate::model::Origin;

#[derive(Serialize, JsonSchema)]
pub(crate) struct Head<'a> {
    #[schemars(extend("const" = SCHEMA))]
    schema: u32,
    version: &'a str,
    host: &'a str,
    boot_id: Option<&'a str>,
    kernel: &'a str,
}

impl<'a> Head<'a> {
    pub(crate) fn of(origin: &'a Origin) -> Self {
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            host: &origin.host,
            boot_id: origin.boot_id.as_deref(),
            kernel: &origin.kernel,
        }
    }
}
