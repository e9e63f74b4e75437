//! [`Certificate`]: one certificate for every server, and a cipher suite that every server agrees to.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// The suite of TLS 1.3 that the load offers, and nothing beside it: RFC 8446 §9.1 makes every server implement it.
pub const CIPHER_SUITE: &str = "TLS_AES_128_GCM_SHA256";

/// A self-signed certificate for `localhost`, ECDSA P-256, and its key.
#[derive(Clone, Debug)]
pub struct Certificate {
    certificate: String,
    key: String,
    der: CertificateDer<'static>,
}

impl Certificate {
    /// Makes one.
    pub fn generate() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        Ok(Self {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            der: made.cert.der().clone(),
        })
    }

    /// Writes `cert.pem` and `key.pem`.
    pub fn write_to(&self, folder: &Path) -> Result<()> {
        std::fs::write(folder.join("cert.pem"), &self.certificate)?;
        std::fs::write(folder.join("key.pem"), &self.key)?;
        Ok(())
    }

    /// Shakes hands with a server that must show this certificate.
    pub fn connect(&self, stream: TcpStream) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone())?;
        let verifier = WebPkiServerVerifier::builder(Arc::new(roots)).build()?;
        let config = ClientConfig::builder()
            .with_webpki_verifier(verifier)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").context("a name")?;
        Ok(StreamOwned::new(
            ClientConnection::new(Arc::new(config), name)?,
            stream,
        ))
    }
}

/// A configuration of OpenSSL that offers [`CIPHER_SUITE`] alone: for `wrk`, which cannot be told otherwise.
pub fn openssl_configuration() -> String {
    format!(
        "openssl_conf = first\n[first]\nssl_conf = second\n[second]\nsystem_default = third\n[third]\n\
         MinProtocol = TLSv1.3\nCiphersuites = {CIPHER_SUITE}\n"
    )
}
