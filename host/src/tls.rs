//! TLS 1.3 between two who know each other by their keys: raw public keys (RFC 7250) of Ed25519.
//!
//! There are no certificates, so nothing of them is parsed, expires or is trusted; no resumption, so
//! that every connection proves both keys; and no early data.

use std::sync::Arc;

use proto::sign::PublicKey;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, CommonState, DigitallySignedStruct, DistinguishedName, Error,
    PeerIncompatible, ServerConfig, SignatureAlgorithm, SignatureScheme,
};

use crate::identity::Identity;

/// The end that others connect to. It takes any key, and none: who may is for its user to say, with
/// [`peer`].
///
/// # Errors
///
/// Never, unless the library lacks what is asked of it.
pub fn server(identity: &Identity) -> Result<Arc<ServerConfig>, Error> {
    let resolver = AlwaysResolvesServerRawPublicKeys::new(certified(identity));
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(AnyKey))
        .with_cert_resolver(Arc::new(resolver));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The end that connects. It speaks to nobody but `other`, and shows `identity` if it has one.
///
/// # Errors
///
/// Never, unless the library lacks what is asked of it.
pub fn client(identity: Option<&Identity>, other: PublicKey) -> Result<Arc<ClientConfig>, Error> {
    let resolver = OwnKey(identity.map(certified));
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ThisKey(other)))
        .with_client_cert_resolver(Arc::new(resolver));
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(Arc::new(config))
}

/// What [`client`] connects to: its key says who it is, not its name.
#[must_use]
pub fn name_of(address: std::net::IpAddr) -> ServerName<'static> {
    ServerName::IpAddress(address.into())
}

/// The key that the other end has proved to have.
#[must_use]
pub fn peer(connection: &CommonState) -> Option<PublicKey> {
    key_of(connection.peer_certificates()?.first()?)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        // What is recorded now is not to be read by a quantum computer later: what is handed out are
        // keys of payload.
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519],
        ..default_provider()
    })
}

fn certified(identity: &Identity) -> Arc<CertifiedKey> {
    let key = [&PREFIX[..], identity.public().bytes()].concat();
    Arc::new(CertifiedKey::new(vec![CertificateDer::from(key)], Arc::new(Own(identity.clone()))))
}

/// The key in a SubjectPublicKeyInfo of Ed25519 (RFC 8410 §4), which has one spelling only.
fn key_of(info: &CertificateDer<'_>) -> Option<PublicKey> {
    let key = info.strip_prefix(&PREFIX)?;
    Some(PublicKey::new(key.try_into().ok()?))
}

fn verify(
    info: &CertificateDer<'_>,
    message: &[u8],
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let key = key_of(info).filter(|_| signed.scheme == SignatureScheme::ED25519);
    match key {
        Some(key) if key.has_signed(message, signed.signature()) => {
            Ok(HandshakeSignatureValid::assertion())
        }
        _ => Err(CertificateError::BadSignature.into()),
    }
}

/// Signs with an identity.
#[derive(Clone, Debug)]
struct Own(Identity);

impl SigningKey for Own {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let is_offered = offered.contains(&SignatureScheme::ED25519);
        is_offered.then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for Own {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(message))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// Shows a key, or says that there is none.
#[derive(Debug)]
struct OwnKey(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for OwnKey {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

/// Takes one key alone.
#[derive(Debug)]
struct ThisKey(PublicKey);

impl ServerCertVerifier for ThisKey {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if key_of(key) == Some(self.0) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(key, message, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Takes every key of Ed25519, if it is proved, and that there is none.
#[derive(Debug)]
struct AnyKey;

impl ClientCertVerifier for AnyKey {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        key: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match key_of(key) {
            Some(_) => Ok(ClientCertVerified::assertion()),
            None => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(key, message, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Before the 32 bytes of an Ed25519 key: a sequence of the algorithm, 1.3.101.112, and a string of
/// bits.
const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

#[cfg(test)]
mod tests {
    use rustls::{ClientConnection, Connection, ServerConnection};

    use super::*;

    fn identity(byte: u8) -> Identity {
        Identity::of_seed(&[byte; 32])
    }

    /// Carries what each has to say to the other until both are done.
    fn shake_hands(
        client: Arc<ClientConfig>,
        server: Arc<ServerConfig>,
    ) -> Result<(Connection, Connection), Error> {
        let name = name_of("127.0.0.1".parse().unwrap());
        let mut client = Connection::from(ClientConnection::new(client, name).unwrap());
        let mut server = Connection::from(ServerConnection::new(server).unwrap());
        while client.is_handshaking() || server.is_handshaking() {
            carry(&mut client, &mut server)?;
            carry(&mut server, &mut client)?;
        }
        Ok((client, server))
    }

    fn carry(from: &mut Connection, to: &mut Connection) -> Result<(), Error> {
        let mut bytes = Vec::new();
        while from.wants_write() {
            from.write_tls(&mut bytes).unwrap();
        }
        let mut bytes = bytes.as_slice();
        while !bytes.is_empty() {
            to.read_tls(&mut bytes).unwrap();
            to.process_new_packets()?;
        }
        Ok(())
    }

    #[test]
    fn each_learns_the_key_of_the_other() {
        let (own, other) = (identity(1), identity(2));
        let client = client(Some(&own), other.public()).unwrap();
        let (client, server) = shake_hands(client, server(&other).unwrap()).unwrap();
        assert_eq!(peer(&server), Some(own.public()));
        assert_eq!(peer(&client), Some(other.public()));
        assert_eq!(client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    }

    #[test]
    fn who_has_no_key_shows_none() {
        let other = identity(2);
        let client = client(None, other.public()).unwrap();
        let (_, server) = shake_hands(client, server(&other).unwrap()).unwrap();
        assert_eq!(peer(&server), None);
    }

    #[test]
    fn nobody_else_is_spoken_to() {
        let client = client(None, identity(2).public()).unwrap();
        let failed = shake_hands(client, server(&identity(3)).unwrap()).unwrap_err();
        let expected = CertificateError::ApplicationVerificationFailure;
        assert_eq!(failed, Error::InvalidCertificate(expected));
    }

    /// Shows the key of one and signs with that of another.
    fn lying(public: &Identity, private: &Identity) -> Arc<CertifiedKey> {
        let shown = certified(public).cert.clone();
        Arc::new(CertifiedKey::new(shown, Arc::new(Own(private.clone()))))
    }

    #[test]
    fn a_key_that_is_shown_must_be_proved() {
        let bad = Error::InvalidCertificate(CertificateError::BadSignature);
        let (victim, thief, other) = (identity(1), identity(3), identity(2));
        let mut stolen = client(None, other.public()).unwrap();
        let resolver = OwnKey(Some(lying(&victim, &thief)));
        Arc::make_mut(&mut stolen).client_auth_cert_resolver = Arc::new(resolver);
        let refused = shake_hands(stolen, server(&other).unwrap()).unwrap_err();
        assert_eq!(refused, bad, "a subscriber's");

        let mut stolen = server(&thief).unwrap();
        let resolver = AlwaysResolvesServerRawPublicKeys::new(lying(&other, &thief));
        Arc::make_mut(&mut stolen).cert_resolver = Arc::new(resolver);
        let refused = shake_hands(client(None, other.public()).unwrap(), stolen).unwrap_err();
        assert_eq!(refused, bad, "a publisher's");
    }

    #[test]
    fn a_key_has_one_spelling() {
        let key = [&PREFIX[..], &[7; 32]].concat();
        assert_eq!(key_of(&CertificateDer::from(key.clone())), Some(PublicKey::new([7; 32])));
        for wrong in [&key[1..], &key[..43], &[&key[..], &[0]].concat(), &[0x31; 44]] {
            assert_eq!(key_of(&CertificateDer::from(wrong.to_vec())), None);
        }
    }
}
