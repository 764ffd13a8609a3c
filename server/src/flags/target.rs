//! How a person names where a stream goes.

use std::fmt;
use std::str::FromStr;

use host::interface::Interface;
use proto::endpoint::{EndpointError, EndpointSpec};

/// An endpoint, read on this machine: an interface's own broadcast address looks like a host's
/// anywhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(pub EndpointSpec);

impl FromStr for Target {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        // If the interfaces cannot be listed, what needs them says so later.
        let interfaces = Interface::all().unwrap_or_default();
        let broadcasts: Vec<_> = interfaces.iter().flat_map(Interface::broadcasts).collect();
        EndpointSpec::parse_with_broadcast(text, &broadcasts).map(Self)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
