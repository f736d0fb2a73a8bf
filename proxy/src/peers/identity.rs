//! Who this proxy is, and whom it believes: TLS 1.3 in which both sides show a bare Ed25519 key (RFC 7250) instead of
//! a certificate.
//!
//! A proxy may have two keys while it changes them. The side that calls names those of the other side that it knows,
//! as application protocols (RFC 7301), and the other side shows the newest of them. The other way round the caller
//! shows its newest key, and an older one when that is refused. So keys change without one moment in which two
//! proxies do not believe each other. This module must not know what is said over such a connection.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use hostfiles::PeerKey;
use proxykeys::{ProxyKeys, SecretKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};

/// What stands before the 32 bytes of an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// What the names of the protocols begin with; a key follows.
const TALK: &str = "simplenetes-talk/1 ";
const RELAY: &str = "simplenetes-relay/1 ";

/// The name that TLS wants to hear, and that nobody looks at.
const NAME: &str = "proxy";

/// What a connection between two proxies is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// They tell each other what they have.
    Talk,
    /// A client of the one is served by the other.
    Relay,
}

/// The keys of this proxy, ready for use, the newest first.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    keys: Vec<(PeerKey, Arc<CertifiedKey>)>,
}

impl Identity {
    /// That of these keys.
    pub(crate) fn new(keys: &ProxyKeys) -> Result<Self, Error> {
        let keys = keys
            .all()
            .map(|key| Ok((key.public(), Arc::new(certified(key)?))))
            .collect::<Result<_, Error>>()?;
        Ok(Self { keys })
    }

    /// The public halves.
    pub(crate) fn public(&self) -> Vec<PeerKey> {
        self.keys.iter().map(|(key, _)| *key).collect()
    }

    /// How many keys it may show.
    pub(crate) fn count(&self) -> usize {
        self.keys.len()
    }

    /// How to be called by others.
    pub(crate) fn server(&self, known: Arc<Known>) -> Result<ServerConfig, Error> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(Verifier::new(Believed::Any(known))))
            .with_cert_resolver(Arc::new(Shown(self.clone())));
        let protocols =
            |(key, _): &(PeerKey, _)| [protocol(Purpose::Talk, key), protocol(Purpose::Relay, key)];
        config.alpn_protocols = self.keys.iter().flat_map(protocols).collect();
        config.send_tls13_tickets = 0;
        config.enable_secret_extraction = true;
        Ok(config)
    }

    /// How to call somebody who has one of these keys, showing one's own `place`th key.
    pub(crate) fn client(
        &self,
        theirs: &[PeerKey],
        place: usize,
        purpose: Purpose,
    ) -> Result<ClientConfig, Error> {
        let own = self
            .keys
            .get(place)
            .ok_or(Error::General("no such key".into()))?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::new(Believed::One(
                theirs.to_vec(),
            ))))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(
                Arc::clone(&own.1),
            )));
        config.alpn_protocols = theirs.iter().map(|key| protocol(purpose, key)).collect();
        config.resumption = Resumption::disabled();
        config.enable_secret_extraction = true;
        config.enable_sni = false;
        Ok(config)
    }
}

/// The name by which a server is called.
pub(crate) fn server_name() -> Result<ServerName<'static>, Error> {
    ServerName::try_from(NAME).map_err(|_| Error::General("not a name".into()))
}

/// All proxies of the cluster, by their keys.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Known(pub(crate) HashMap<PeerKey, SocketAddr>);

/// One cipher suite: the one whose keys are good for any number of records (RFC 8446, section 5.5), because a stream
/// between two proxies may be of any length.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider.cipher_suites = vec![ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256];
    Arc::new(provider)
}

fn certified(key: &SecretKey) -> Result<CertifiedKey, Error> {
    let pkcs8 = key.to_pkcs8();
    let signing = ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8.as_slice()))?;
    let public = [SPKI_PREFIX.as_slice(), key.public().bytes()].concat();
    Ok(CertifiedKey::new(
        vec![CertificateDer::from(public)],
        signing,
    ))
}

/// What stands for a key where the caller says which it knows, and what for.
fn protocol(purpose: Purpose, key: &PeerKey) -> Vec<u8> {
    let purpose = match purpose {
        Purpose::Talk => TALK,
        Purpose::Relay => RELAY,
    };
    format!("{purpose}{key}").into_bytes()
}

/// What a connection is for, by the protocol that was agreed on.
pub(crate) fn purpose(protocol: Option<&[u8]>) -> Option<Purpose> {
    let protocol = protocol?;
    if protocol.starts_with(TALK.as_bytes()) {
        Some(Purpose::Talk)
    } else {
        protocol
            .starts_with(RELAY.as_bytes())
            .then_some(Purpose::Relay)
    }
}

/// The key that somebody shows.
pub(crate) fn key_of(shown: &CertificateDer<'_>) -> Option<PeerKey> {
    let bytes = shown.as_ref().strip_prefix(&SPKI_PREFIX)?;
    Some(PeerKey::new(bytes.try_into().ok()?))
}

/// Shows the newest key that the caller knows.
#[derive(Debug)]
struct Shown(Identity);

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let known: Vec<&[u8]> = hello.alpn()?.collect();
        let (_, shown) = self.0.keys.iter().find(|(key, _)| {
            let names = |purpose| known.contains(&protocol(purpose, key).as_slice());
            names(Purpose::Talk) || names(Purpose::Relay)
        })?;
        Some(Arc::clone(shown))
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }
}

/// Whose key is believed.
#[derive(Debug)]
enum Believed {
    Any(Arc<Known>),
    One(Vec<PeerKey>),
}

/// Believes whoever has a key that is known, and proves it.
#[derive(Debug)]
struct Verifier {
    believed: Believed,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(believed: Believed) -> Self {
        Self {
            believed,
            provider: provider(),
        }
    }

    fn knows(&self, shown: &CertificateDer<'_>) -> Result<(), Error> {
        let key = key_of(shown);
        let known = key.is_some_and(|key| match &self.believed {
            Believed::Any(known) => known.0.contains_key(&key),
            Believed::One(keys) => keys.contains(&key),
        });
        known
            .then_some(())
            .ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))
    }

    fn proves(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let key = SubjectPublicKeyInfoDer::from(shown.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, dss, algorithms)
    }
}

/// Of an older TLS, which is never spoken.
fn too_old() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("only TLS 1.3 is spoken".into()))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.knows(shown).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.proves(message, shown, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.knows(shown).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.proves(message, shown, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
