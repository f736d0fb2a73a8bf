//! A proxy of the cluster, with a key that others know, that does what it likes: the protocol between proxies written
//! once more, from its description, with nothing of the program that is tested.

use std::net::SocketAddr;
use std::sync::Arc;

use hostfiles::PeerKey;
use proxykeys::ProxyKeys;
use ring::hmac;
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::cluster::{address, enrol, within};

/// What an Ed25519 key begins with where TLS shows it bare.
const BARE: [u8; 12] = *b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// Believes everybody.
#[derive(Debug)]
struct Gullible;

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Gullible {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Somebody who calls, and what for.
pub(crate) enum Caller {
    /// Wants to hear what there is; the greeting has been answered.
    Talks(Box<server::TlsStream<TcpStream>>),
    /// Has a client, and will say so.
    Plain(TcpStream),
    /// The same over TLS, and has been told that it may speak.
    Sealed(Box<server::TlsStream<TcpStream>>),
}

/// The liar.
pub(crate) struct Liar {
    pub(crate) address: SocketAddr,
    keys: ProxyKeys,
    listener: TcpListener,
    _folder: TempDir,
}

impl Liar {
    /// One whom every proxy believes that meets it.
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind((address(), 0)).await.unwrap();
        let keys = ProxyKeys::generate().unwrap();
        let (address, folder) = (listener.local_addr().unwrap(), TempDir::new().unwrap());
        enrol(address, keys.public().next().unwrap(), folder.path());
        Self {
            address,
            keys,
            listener,
            _folder: folder,
        }
    }

    pub(crate) fn public(&self) -> PeerKey {
        self.keys.public().next().unwrap()
    }

    fn certified(&self) -> Arc<CertifiedKey> {
        let key = self.keys.all().next().unwrap();
        let pkcs8 = key.to_pkcs8();
        let der = PrivatePkcs8KeyDer::from(pkcs8.as_slice());
        let signing = rustls::crypto::ring::sign::any_eddsa_type(&der).unwrap();
        let bare = [BARE.as_slice(), key.public().bytes()].concat();
        Arc::new(CertifiedKey::new(vec![CertificateDer::from(bare)], signing))
    }

    /// The next one who calls.
    pub(crate) async fn called(&self) -> std::io::Result<Caller> {
        let (stream, _) = self.listener.accept().await?;
        let mut first = [0];
        stream.peek(&mut first).await?;
        if first == *b"S" {
            return Ok(Caller::Plain(stream));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(Arc::new(Gullible))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(
                self.certified(),
            )));
        let own = self.public();
        config.alpn_protocols = ["talk", "relay"]
            .map(|what| format!("simplenetes-{what}/1 {own}").into_bytes())
            .to_vec();
        config.send_tls13_tickets = 0;
        let mut tls = TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
        let talks = tls
            .get_ref()
            .1
            .alpn_protocol()
            .unwrap()
            .starts_with(b"simplenetes-talk");
        if !talks {
            tls.write_all(b"\n").await?;
            tls.flush().await?;
            return Ok(Caller::Sealed(Box::new(tls)));
        }
        assert_eq!(line(&mut tls).await?, "simplenetes 1");
        let answer = format!("simplenetes 1 {}\n", "5a".repeat(16));
        tls.write_all(answer.as_bytes()).await?;
        tls.flush().await?;
        Ok(Caller::Talks(Box::new(tls)))
    }

    /// Calls a proxy that has this key.
    pub(crate) async fn call(
        &self,
        to: SocketAddr,
        their: PeerKey,
    ) -> std::io::Result<client::TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Gullible))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(
                self.certified(),
            )));
        config.alpn_protocols = vec![format!("simplenetes-talk/1 {their}").into_bytes()];
        config.enable_sni = false;
        let stream = TcpStream::connect(to).await?;
        let name = ServerName::try_from("anybody").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }

    /// Begins a conversation, as one who listens does.
    pub(crate) async fn converse(
        &self,
        to: SocketAddr,
        their: PeerKey,
    ) -> std::io::Result<Conversation> {
        let mut tls = self.call(to, their).await?;
        tls.write_all(b"simplenetes 1\n").await?;
        tls.flush().await?;
        let answer = line(&mut tls).await?;
        let name = answer.strip_prefix("simplenetes 1 ").unwrap();
        let id: Vec<u8> = (0..16)
            .map(|place| u8::from_str_radix(&name[place * 2..place * 2 + 2], 16).unwrap())
            .collect();
        let mut secret = [0; 32];
        let label = b"EXPERIMENTAL-simplenetes-ticket";
        let (_, state) = tls.get_ref();
        state
            .export_keying_material(&mut secret, label, Some(&id))
            .unwrap();
        Ok(Conversation {
            _tls: tls,
            id,
            secret,
        })
    }
}

/// What a liar has learnt by telling who it is.
pub(crate) struct Conversation {
    /// It is over when this is dropped.
    _tls: client::TlsStream<TcpStream>,
    id: Vec<u8>,
    secret: [u8; 32],
}

impl Conversation {
    /// A ticket of that number.
    pub(crate) fn ticket(&self, number: u64) -> Vec<u8> {
        let said = [b"SNS\x01".as_slice(), &self.id, &number.to_be_bytes()].concat();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.secret);
        [said.as_slice(), hmac::sign(&key, &said).as_ref()].concat()
    }
}

/// A request for a cluster port, by a client at ::1.
pub(crate) fn request(port: u16) -> Vec<u8> {
    let address = [&[0; 15][..], &[1, 0, 7]].concat();
    [&port.to_be_bytes()[..], &address, &address].concat()
}

async fn line(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<String> {
    let mut line = Vec::new();
    loop {
        match within(from.read_u8()).await? {
            b'\n' => return Ok(String::from_utf8(line).unwrap()),
            byte => line.push(byte),
        }
    }
}
