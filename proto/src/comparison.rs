//! Comparing ways of sending with those who listen now (docs/PROTOCOL.md, "Comparison").
//!
//! Nothing but names: a publisher announces to its group a stream that is called after an endpoint;
//! subscribers that allow it receive [`DATA`] from there. Nobody adopts a stream with such a name
//! without having asked for it.

use crate::wire::Name;

/// What the stream that is compared with is called.
pub const DATA: &str = "compare:data";

/// What the names of comparisons begin with.
const PREFIX: &str = "compare:";

/// The name by which subscribers are invited to an endpoint; none if it is too long for a name.
#[must_use]
pub fn invitation(endpoint: &str) -> Option<Name> {
    format!("{PREFIX}{endpoint}").parse().ok()
}

/// The endpoint that a name invites to.
#[must_use]
pub fn invited_to(name: &Name) -> Option<&str> {
    name.as_str().strip_prefix(PREFIX).filter(|_| name.as_str() != DATA)
}

/// Whether a stream of this name is only for those who asked for it by name.
#[must_use]
pub fn is_reserved(name: &Name) -> bool {
    name.as_str().starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_says_where_to() {
        let name = invitation("unicast://10.0.0.1:6000").unwrap();
        assert_eq!(invited_to(&name), Some("unicast://10.0.0.1:6000"));
        assert!(is_reserved(&name) && is_reserved(&DATA.parse().unwrap()));
        assert_eq!(invited_to(&DATA.parse().unwrap()), None);
        assert_eq!(invited_to(&"film".parse().unwrap()), None);
    }
}
