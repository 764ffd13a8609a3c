//! Which endpoints can be received.

use host::interface::{InterfaceSpec, InvalidInterface};
use proto::endpoint::{Endpoint, EndpointError, EndpointSpec, Group};

/// Why an endpoint cannot be received.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReceivable {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error("{0}: receiving by {1} is not supported in this version; use a multicast group")]
    Mode(String, &'static str),
    #[error(transparent)]
    Interface(#[from] InvalidInterface),
}

/// Reads an endpoint: its group, and the interface if one is written after a `?`.
pub(crate) fn parse(text: &str) -> Result<(Group, Option<InterfaceSpec>), NotReceivable> {
    let spec: EndpointSpec = text.parse()?;
    let interface = spec.interface.as_deref().map(str::parse).transpose()?;
    match spec.endpoint {
        Endpoint::Multicast(group) => {
            group.check_joinable()?;
            Ok((group, interface))
        }
        other @ (Endpoint::Broadcast(_) | Endpoint::Unicast { .. } | Endpoint::Tcp { .. }) => {
            Err(NotReceivable::Mode(text.to_owned(), other.mode()))
        }
    }
}
