//! [`Tls`]: a certificate that may change while connections are open.

use std::fmt;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ProducesTickets, ServerConfig};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::error::Error;

/// How often the files are looked at.
const POLL: Duration = Duration::from_secs(2);

/// A certificate chain and its key, from PEM files that are read again when they change; or all that rustls can be told.
///
/// TLS 1.2 and 1.3, with rustls' own choice of suites; HTTP/2 and HTTP/1.1 by ALPN. Connections that are open
/// keep what they have; new ones get the new certificate. A new certificate that cannot be used (half written,
/// or not of this key) is refused and the old one kept, and the log says so.
///
/// ```no_run
/// # async fn example(app: axum::Router) -> Result<(), beneath_serve::Error> {
/// use beneath_serve::{Server, Tls};
///
/// let tls = Tls::from_pem_files("cert.pem", "key.pem")?;
/// Server::bind("0.0.0.0:443").await?.tls(tls).serve(app, std::future::pending()).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Tls(Source);

#[derive(Clone)]
enum Source {
    Files(Arc<Files>),
    Config(Arc<ServerConfig>),
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
    tickets: Arc<dyn ProducesTickets>,
    current: Mutex<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    expires: Option<SystemTime>,
    pem: Pem,
}

/// What the files hold. Whether they changed is asked of their content, not of their dates.
#[derive(PartialEq, Eq)]
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Tls {
    /// Reads a certificate chain (leaf first) and its private key (PKCS #8, PKCS #1 or SEC 1).
    ///
    /// # Errors
    ///
    /// If a file cannot be read, holds no certificate or no key, or if the key is not that of the certificate.
    pub fn from_pem_files(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, Error> {
        let (certificate, key) = (certificate.as_ref().to_owned(), key.as_ref().to_owned());
        let tickets = ring::Ticketer::new().map_err(Error::tls)?;
        let pem = Pem::read(&certificate, &key)?;
        let current = pem.parse((&certificate, &key), &tickets)?;
        if current.has_expired() {
            tracing::warn!(certificate = %certificate.display(), "the TLS certificate has expired");
        }
        Ok(Self(Source::Files(Arc::new(Files {
            certificate,
            key,
            tickets,
            current: Mutex::new(current),
        }))))
    }

    /// As this configuration says: for client certificates, a certificate for each of several names, or certificates that come from
    /// elsewhere than files. What [`ResolvesServerCert`](tokio_rustls::rustls::server::ResolvesServerCert) gives may change at any time.
    /// Where it says nothing of ALPN, HTTP/2 and HTTP/1.1 are offered.
    pub fn from_config(mut config: ServerConfig) -> Self {
        if config.alpn_protocols.is_empty() {
            config.alpn_protocols = alpn();
        }
        Self(Source::Config(Arc::new(config)))
    }

    /// When the certificate expires: after that, clients end the handshake. Unknown of a
    /// [configuration](Self::from_config).
    pub fn expires(&self) -> Option<SystemTime> {
        match &self.0 {
            Source::Files(files) => files.current().expires,
            Source::Config(_) => None,
        }
    }

    /// Reads the files again now, for instance on SIGHUP. While a server runs with this, it is also done every two
    /// seconds. True if the certificate or the key is another one now. Of a [configuration](Self::from_config), there is nothing to
    /// read.
    ///
    /// # Errors
    ///
    /// As [`from_pem_files`](Self::from_pem_files); or if it has expired, and the old one has not. The old certificate is kept then.
    pub fn reload(&self) -> Result<bool, Error> {
        match &self.0 {
            Source::Files(files) => files.reload(),
            Source::Config(_) => Ok(false),
        }
    }

    /// Reloads for as long as it is polled.
    pub(crate) async fn keep_current(self) {
        let Source::Files(files) = self.0 else { return };
        let mut complaint = String::new();
        loop {
            tokio::time::sleep(POLL).await;
            let files = Arc::clone(&files);
            let reloaded = tokio::task::spawn_blocking(move || files.reload()).await;
            match reloaded {
                Ok(Ok(false)) => complaint.clear(),
                Ok(Ok(true)) => {
                    complaint.clear();
                    tracing::info!("the TLS certificate was reloaded");
                }
                Ok(Err(error)) => complain(&mut complaint, &error),
                Err(_) => return, // The runtime is shutting down.
            }
        }
    }

    /// For one handshake.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        match &self.0 {
            Source::Files(files) => Arc::clone(&files.current().config),
            Source::Config(config) => Arc::clone(config),
        }
    }
}

/// Says a thing once, not every two seconds.
fn complain(last: &mut String, error: &Error) {
    let complaint = error.to_string();
    if *last != complaint {
        tracing::error!(%error, "the changed TLS certificate cannot be used; the old one stays");
        *last = complaint;
    }
}

fn alpn() -> Vec<Vec<u8>> {
    vec![b"h2".to_vec(), b"http/1.1".to_vec()]
}

impl Files {
    fn reload(&self) -> Result<bool, Error> {
        let pem = Pem::read(&self.certificate, &self.key)?;
        if self.current().pem == pem {
            return Ok(false);
        }
        let new = pem.parse((&self.certificate, &self.key), &self.tickets)?;
        let mut current = self.current();
        if new.has_expired() && !current.has_expired() {
            return Err(Error::pem(&self.certificate, "it has expired"));
        }
        *current = new;
        Ok(true)
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn has_expired(&self) -> bool {
        self.expires.is_some_and(|end| end < SystemTime::now())
    }
}

impl Pem {
    fn read(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let read = |path: &Path| read(path).map_err(|error| Error::file(path, error));
        Ok(Self {
            certificate: read(certificate)?,
            key: read(key)?,
        })
    }

    fn parse(
        self,
        (of_chain, of_key): (&Path, &Path),
        tickets: &Arc<dyn ProducesTickets>,
    ) -> Result<Current, Error> {
        let chain = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Error::pem(of_chain, error))?;
        let Some(leaf) = chain.first() else {
            return Err(Error::pem(of_chain, "it holds no certificate"));
        };
        let expires = Certificate::from_der(leaf).ok();
        let expires = expires.map(|leaf| leaf.tbs_certificate().validity().not_after.to_system_time());
        let key = match PrivateKeyDer::from_pem_slice(&self.key) {
            Err(pem::Error::NoItemsFound) => Err(Error::pem(of_key, "it holds no private key")),
            key => key.map_err(|error| Error::pem(of_key, error)),
        }?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(Error::tls)?
            .with_no_client_auth()
            .with_single_cert(chain, key) // Also checks that the key is that of the certificate.
            .map_err(|error| Error::pem(of_chain, error))?;
        config.alpn_protocols = alpn();
        // The same over a reload, so that sessions can be resumed.
        config.ticketer = Arc::clone(tickets);
        Ok(Current {
            config: Arc::new(config),
            expires,
            pem: self,
        })
    }
}

/// Waits for nobody: not for a writer, where a pipe took the place of the file.
#[expect(
    clippy::disallowed_methods,
    reason = "the operator's own files, whose links are followed"
)]
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut file = std::fs::File::options()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tls = f.debug_struct("Tls");
        if let Source::Files(files) = &self.0 {
            tls.field("certificate", &files.certificate)
                .field("key", &files.key);
        }
        tls.finish_non_exhaustive()
    }
}
