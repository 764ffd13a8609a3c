//! Enums that are one byte on the wire.

/// A byte that is no number of the enum it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} has no meaning here")]
pub struct UnknownNumber(pub u8);

/// Converts a fieldless `repr(u8)` enum to its number and back.
///
/// The serde derives go through these, because bincode alone would spend four bytes on an enum.
/// A variant that is not listed does not compile.
macro_rules! numbered {
    ($name:ident { $($variant:ident),+ $(,)? }) => {
        impl From<$name> for u8 {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant => $name::$variant as Self,)+
                }
            }
        }

        impl TryFrom<u8> for $name {
            type Error = $crate::wire::UnknownNumber;

            fn try_from(number: u8) -> Result<Self, Self::Error> {
                $(if number == Self::$variant as u8 {
                    return Ok(Self::$variant);
                })+
                Err($crate::wire::UnknownNumber(number))
            }
        }
    };
}

pub(crate) use numbered;
