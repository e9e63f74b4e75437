//! The same request over HTTP/1.1, over HTTP/1.1 in TLS and over HTTP/2 in TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// An answer, received whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut found = self
            .fields
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }
}

/// Field lines of a request.
pub(crate) type Fields<'a> = &'a [(&'a str, &'a str)];

/// A connection that can be asked again and again.
pub(crate) trait Client {
    fn ask(&mut self, path: &str, fields: Fields<'_>) -> Result<Answer, String>;
}

/// The certificates that the server may show: whoever sees another does not connect.
#[derive(Debug, Default)]
pub(crate) struct Trust(Mutex<Vec<CertificateDer<'static>>>);

impl Trust {
    pub(crate) fn add(&self, certificate: CertificateDer<'static>) {
        let mut certificates = self.0.lock().unwrap();
        certificates.push(certificate);
        // Older ones are shown no more, and a client gives up over too many of one name.
        let old = certificates.len().saturating_sub(16);
        certificates.drain(..old);
    }

    fn config(&self, protocol: &[u8]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for certificate in self.0.lock().unwrap().iter() {
            roots.add(certificate.clone()).unwrap();
        }
        let verifier = WebPkiServerVerifier::builder(Arc::new(roots)).build().unwrap();
        let mut config = ClientConfig::builder()
            .with_webpki_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    }
}

fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// HTTP/1.1 over any stream, kept alive.
pub(crate) struct Http1<S> {
    stream: S,
    buffer: Vec<u8>,
}

pub(crate) fn plain(server: SocketAddr) -> Box<dyn Client> {
    Box::new(Http1 {
        stream: connect(server),
        buffer: Vec::new(),
    })
}

/// And the certificate that was shown.
pub(crate) fn tls(server: SocketAddr, trust: &Trust) -> (Box<dyn Client>, Vec<u8>) {
    let mut stream = connect(server);
    let mut connection = ClientConnection::new(trust.config(b"http/1.1"), name()).unwrap();
    connection.complete_io(&mut stream).unwrap();
    let shown = connection.peer_certificates().unwrap()[0].to_vec();
    let client = Http1 {
        stream: StreamOwned::new(connection, stream),
        buffer: Vec::new(),
    };
    (Box::new(client), shown)
}

impl<S: Read + Write> Client for Http1<S> {
    fn ask(&mut self, path: &str, fields: Fields<'_>) -> Result<Answer, String> {
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n");
        for (name, value) in fields {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        self.stream
            .write_all(request.as_bytes())
            .map_err(|error| format!("request: {error}"))?;
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.receive()?;
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let fields = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut answer = Answer {
            status,
            fields: fields.collect(),
            body: Vec::new(),
        };
        let length: usize = answer.field("content-length").expect("a length").parse().unwrap();
        while self.buffer.len() < length {
            self.receive()?;
        }
        answer.body = self.buffer.drain(..length).collect();
        Ok(answer)
    }
}

impl<S: Read> Http1<S> {
    fn receive(&mut self) -> Result<(), String> {
        let mut part = vec![0; 64 * 1024];
        match self.stream.read(&mut part) {
            Ok(0) => Err(format!("closed after {} bytes", self.buffer.len())),
            Ok(count) => {
                self.buffer.extend_from_slice(&part[..count]);
                Ok(())
            }
            Err(error) => Err(format!("after {} bytes: {error}", self.buffer.len())),
        }
    }
}

/// HTTP/2, on a runtime of its own.
pub(crate) struct Http2 {
    runtime: tokio::runtime::Runtime,
    requests: h2::client::SendRequest<bytes::Bytes>,
}

pub(crate) fn http2(server: SocketAddr, trust: &Trust) -> Box<dyn Client> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let requests = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(server).await.unwrap();
        let stream = TlsConnector::from(trust.config(b"h2"))
            .connect(name(), stream)
            .await
            .unwrap();
        let mut builder = h2::client::Builder::new();
        builder
            .initial_window_size(1 << 24)
            .initial_connection_window_size(1 << 24);
        let (requests, connection) = builder.handshake(stream).await.unwrap();
        tokio::spawn(connection);
        requests
    });
    Box::new(Http2 { runtime, requests })
}

impl Client for Http2 {
    fn ask(&mut self, path: &str, fields: Fields<'_>) -> Result<Answer, String> {
        let requests = self.requests.clone();
        let exchange = async {
            let mut request = http::Request::get(format!("https://localhost{path}"));
            for (name, value) in fields {
                request = request.header(*name, *value);
            }
            let mut requests = requests.ready().await.map_err(|error| error.to_string())?;
            let sent = requests.send_request(request.body(()).unwrap(), true);
            let (head, mut stream) = sent
                .unwrap()
                .0
                .await
                .map_err(|error| error.to_string())?
                .into_parts();
            let mut body = Vec::new();
            while let Some(data) = stream.data().await {
                let data = data.map_err(|error| format!("after {} bytes: {error}", body.len()))?;
                stream.flow_control().release_capacity(data.len()).unwrap();
                body.extend_from_slice(&data);
            }
            let fields = head
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
            Ok(Answer {
                status: head.status.as_u16(),
                fields: fields.collect(),
                body,
            })
        };
        self.runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(20), exchange).await })
            .map_err(|_| "20 seconds")?
    }
}
