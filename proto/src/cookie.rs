//! The cookie: who is answered by unicast has shown that it receives where it says.
//!
//! The sender keeps nothing for a stranger: the cookie is a keyed hash of what the stranger
//! claims, and coming back with it is the proof. A cookie is good for one to two
//! [`COOKIE_LIFE`]s.

use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::{SubscriberId, Timestamp};

/// Makes and checks cookies with a secret of its own.
#[derive(Clone)]
pub struct CookieJar {
    secret: [u8; 16],
}

impl CookieJar {
    /// A jar with this secret, which must be random and is told to nobody.
    #[must_use]
    pub fn new(secret: [u8; 16]) -> Self {
        Self { secret }
    }

    /// What `subscriber` has to send back from `address`.
    #[must_use]
    pub fn bake(&self, subscriber: SubscriberId, address: SocketAddr, now: Timestamp) -> u128 {
        self.hash(subscriber, address, age(now))
    }

    /// Whether `cookie` is what `subscriber` at `address` was told, not too long ago.
    #[must_use]
    pub fn accepts(
        &self,
        cookie: u128,
        subscriber: SubscriberId,
        address: SocketAddr,
        now: Timestamp,
    ) -> bool {
        let age = age(now);
        cookie == self.hash(subscriber, address, age)
            || cookie == self.hash(subscriber, address, age.wrapping_sub(1))
    }

    fn hash(&self, subscriber: SubscriberId, address: SocketAddr, age: u64) -> u128 {
        let mut hasher = SipHasher24::new_with_key(&self.secret);
        hasher.write(&subscriber.0.to_be_bytes());
        match address.ip() {
            IpAddr::V4(ip) => hasher.write(&ip.to_ipv6_mapped().octets()),
            IpAddr::V6(ip) => hasher.write(&ip.octets()),
        }
        hasher.write(&address.port().to_be_bytes());
        hasher.write(&age.to_be_bytes());
        hasher.finish128().as_u128()
    }
}

impl std::fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CookieJar(secret)")
    }
}

fn age(now: Timestamp) -> u64 {
    now.0 / u64::try_from(COOKIE_LIFE.as_nanos()).unwrap_or(u64::MAX)
}

/// Long enough for a round trip and a busy subscriber, short enough that a cookie overheard once
/// is of no use later.
pub const COOKIE_LIFE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_bound_to_who_where_and_when() {
        let jar = CookieJar::new([7; 16]);
        let who = SubscriberId(1);
        let at: SocketAddr = "10.0.0.1:5000".parse().unwrap();
        let now = Timestamp::from_secs(10);
        let cookie = jar.bake(who, at, now);
        assert!(jar.accepts(cookie, who, at, Timestamp::from_secs(45)));
        assert!(!jar.accepts(cookie, who, at, Timestamp::from_secs(95)));
        assert!(!jar.accepts(cookie, SubscriberId(2), at, now));
        assert!(!jar.accepts(cookie, who, "10.0.0.1:5001".parse().unwrap(), now));
        assert!(!CookieJar::new([8; 16]).accepts(cookie, who, at, now));
    }
}
