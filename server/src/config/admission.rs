//! Who is let in, as it was written: files read, and what is missing told.

use std::path::Path;

use host::identity::Identity;
use host::token::Token;

use super::ConfigError;
use crate::admission::AdmissionConfig;
use crate::admission::authorized::Authorized;
use crate::admission::policy::Policy;
use crate::flags::ProgramFlags;

/// What the flags of admission mean; `None` without an address.
///
/// # Errors
///
/// When one is missing, or a file cannot be used.
pub fn resolve(flags: &ProgramFlags) -> Result<Option<AdmissionConfig>, ConfigError> {
    let (authorized, token) = (&flags.authorized, &flags.admission_token_file);
    let Some(address) = flags.admission else {
        let others = [&flags.identity, authorized, token];
        let has_others = others.into_iter().any(Option::is_some);
        return if has_others { Err(ConfigError::NoAdmission) } else { Ok(None) };
    };
    let identity = flags.identity.as_ref().ok_or(ConfigError::NoIdentity)?;
    if authorized.is_none() && token.is_none() {
        return Err(ConfigError::NobodyAdmitted);
    }
    let policy = Policy {
        authorized: authorized.as_deref().map(Authorized::read).transpose()?,
        token: token.as_deref().map(shown).transpose()?,
    };
    Ok(Some(AdmissionConfig { address: address.0, identity: Identity::read(identity)?, policy }))
}

/// The token that subscribers show.
fn shown(path: &Path) -> Result<proto::admission::Token, ConfigError> {
    let token = Token::read(path).map_err(ConfigError::AdmissionToken)?;
    Ok(token.shown())
}
