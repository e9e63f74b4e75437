//! TLS: protocols, reload, and handshakes that never end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use beneath_serve::{Server, Tls};
use rcgen::{CertificateParams, CertifiedKey, KeyPair, date_time_ymd, generate_simple_self_signed};
use support::{Client, PATIENCE, Running, at_once, only, status};
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConfig, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Writes a fresh certificate and its key, and returns the certificate.
fn certify(dir: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("key.pem"), signing_key.serialize_pem()).unwrap();
    std::fs::write(dir.join("cert.pem"), cert.pem()).unwrap();
    cert.der().clone()
}

fn serve(dir: &Path) -> Running {
    serve_with(Tls::from_pem_files(dir.join("cert.pem"), dir.join("key.pem")).unwrap())
}

fn serve_with(tls: Tls) -> Running {
    Running::start_with(async || {
        Server::bind("127.0.0.1:0")
            .await
            .unwrap()
            .limits(only(|_| {}))
            .tls(tls)
    })
}

fn connect(server: &Running, alpn: &[&[u8]], versions: &[&'static SupportedProtocolVersion]) -> Stream {
    let mut config = ClientConfig::builder_with_protocol_versions(versions)
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Any))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(connection, server.client().0)
}

fn ask(stream: &mut Stream) -> String {
    stream.write_all(support::GET.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        let mut buf = [0; 1024];
        let read = stream.read(&mut buf).unwrap();
        assert_ne!(read, 0, "closed");
        answer.extend_from_slice(&buf[..read]);
    }
    String::from_utf8(answer).unwrap()
}

fn certificate(stream: &Stream) -> CertificateDer<'static> {
    stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

#[test]
fn http_1_and_2_are_agreed_upon_and_both_versions_of_tls_spoken() {
    let dir = tempfile::tempdir().unwrap();
    let expected = certify(dir.path());
    let server = serve(dir.path());
    for (offered, agreed) in [
        (&[b"h2".as_slice(), b"http/1.1"][..], Some(&b"h2"[..])),
        (&[b"http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        for version in [&TLS12, &TLS13] {
            let mut stream = connect(&server, offered, &[version]);
            if agreed == Some(b"h2") {
                stream
                    .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
                    .unwrap();
                let mut settings = [0; 9];
                stream.read_exact(&mut settings).unwrap();
                assert_eq!(settings[3], 4, "not a SETTINGS frame");
            } else {
                assert_eq!(status(&ask(&mut stream)), 200);
            }
            assert_eq!(stream.conn.alpn_protocol(), agreed);
            assert_eq!(certificate(&stream), expected);
        }
    }
}

#[test]
fn a_configuration_of_the_applications_own_is_taken_as_it_is() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let config = ServerConfig::builder_with_protocol_versions(&[&TLS13])
        .with_no_client_auth()
        .with_single_cert(
            vec![cert.der().clone()],
            signing_key.serialize_der().try_into().unwrap(),
        )
        .unwrap();
    let mut only_http_1 = config.clone();
    only_http_1.alpn_protocols = vec![b"http/1.1".to_vec()];
    let offers: &[&[u8]] = &[b"h2", b"http/1.1"];
    for (config, agreed) in [(config, b"h2".as_slice()), (only_http_1, b"http/1.1")] {
        let tls = Tls::from_config(config);
        assert_eq!((tls.reload().unwrap(), tls.expires()), (false, None));
        let server = serve_with(tls);
        let mut stream = connect(&server, offers, &[&TLS13]);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        assert_eq!(stream.conn.alpn_protocol(), Some(agreed));
        assert_eq!(&certificate(&stream), cert.der());
        let mut old = connect(&server, offers, &[&TLS12]);
        assert!(old.conn.complete_io(&mut old.sock).is_err(), "TLS 1.2 was spoken");
    }
}

#[test]
fn a_doubtful_head_is_refused_inside_tls_too() {
    let dir = tempfile::tempdir().unwrap();
    certify(dir.path());
    let server = serve(dir.path());
    let mut stream = connect(&server, &[], &[&TLS13]);
    stream.write_all(b"GET / HTTP/1.1\nHost: a\n\n").unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
}

#[test]
fn a_changed_certificate_is_taken_up_and_open_connections_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let old = certify(dir.path());
    let tls = Tls::from_pem_files(dir.path().join("cert.pem"), dir.path().join("key.pem")).unwrap();
    let signal = tls.clone();
    let server = Running::start_with(async || Server::bind("127.0.0.1:0").await.unwrap().tls(tls));
    let mut open = connect(&server, &[], &[&TLS13]);
    ask(&mut open);

    // Not usable: half written, empty, of another key. The old one stays.
    for bad in ["-----BEGIN CERTIFICATE-----\nMIIB", ""] {
        std::fs::write(dir.path().join("cert.pem"), bad).unwrap();
        assert!(signal.reload().is_err());
    }
    let other = tempfile::tempdir().unwrap();
    certify(other.path());
    std::fs::copy(other.path().join("cert.pem"), dir.path().join("cert.pem")).unwrap();
    assert!(signal.reload().is_err(), "a certificate of another key");
    let mut stream = connect(&server, &[], &[&TLS13]);
    ask(&mut stream);
    assert_eq!(certificate(&stream), old);

    // Usable: taken up by itself.
    let new = certify(dir.path());
    let begin = Instant::now();
    loop {
        let mut stream = connect(&server, &[], &[&TLS13]);
        ask(&mut stream);
        if certificate(&stream) == new {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "not reloaded");
        sleep(Duration::from_millis(100));
    }
    assert!(!signal.reload().unwrap(), "nothing changed since");
    ask(&mut open);
    assert_eq!(certificate(&open), old);
}

#[test]
fn a_certificate_that_has_expired_does_not_take_the_place_of_one_that_has_not() {
    let dir = tempfile::tempdir().unwrap();
    certify(dir.path());
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let tls = Tls::from_pem_files(&cert, &key).unwrap();
    assert!(tls.expires().unwrap() > SystemTime::now());
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(2020, 1, 1);
    let signing_key = KeyPair::generate().unwrap();
    std::fs::write(&cert, params.self_signed(&signing_key).unwrap().pem()).unwrap();
    std::fs::write(&key, signing_key.serialize_pem()).unwrap();
    let refused = tls.reload().unwrap_err().to_string();
    assert!(refused.contains("cert.pem: it has expired"), "{refused}");
    // It may be the clock that is wrong.
    let expired = Tls::from_pem_files(&cert, &key).unwrap();
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_836_800);
    assert_eq!(expired.expires(), Some(end));
    certify(dir.path());
    assert!(expired.reload().unwrap());
}

#[test]
fn files_that_hold_no_certificate_or_no_key_are_an_error_that_names_them() {
    let dir = tempfile::tempdir().unwrap();
    certify(dir.path());
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let missing = Tls::from_pem_files(dir.path().join("none.pem"), &key)
        .unwrap_err()
        .to_string();
    assert!(missing.contains("none.pem"), "{missing}");
    for (certificate, file, named) in [
        (&cert, &cert, "cert.pem: it holds no private key"),
        (&key, &key, "key.pem: it holds no certificate"),
    ] {
        let error = Tls::from_pem_files(certificate, file).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
    // A pipe would be waited for until somebody writes.
    let tls = Tls::from_pem_files(&cert, &key).unwrap();
    std::fs::remove_file(&cert).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &cert,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let error = tls.reload().unwrap_err().to_string();
    assert!(
        error.contains("cert.pem") && error.contains("regular file"),
        "{error}"
    );
}

#[test]
fn a_handshake_that_does_not_end_is_cut_and_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    certify(dir.path());
    let tls = Tls::from_pem_files(dir.path().join("cert.pem"), dir.path().join("key.pem")).unwrap();
    let limits = only(|limits| {
        limits.handshakes = 1;
        limits.handshake_timeout = Duration::from_secs(3);
    });
    let server =
        Running::start_with(async || Server::bind("127.0.0.1:0").await.unwrap().limits(limits).tls(tls));
    let mut silent: Vec<Client> = (0..4).map(|_| server.client()).collect();
    silent[0].send(b"\x16\x03\x01\x02\x00\x01");
    at_once(Duration::from_millis(400), || {
        assert_eq!(status(&ask(&mut connect(&server, &[], &[&TLS13]))), 200);
    });
    assert!(silent.iter().all(Client::is_held), "they were not waited for");
    for client in &mut silent {
        client.closed();
    }
}

#[test]
fn silent_handshakes_do_not_keep_others_from_shaking_hands() {
    let dir = tempfile::tempdir().unwrap();
    certify(dir.path());
    let tls = Tls::from_pem_files(dir.path().join("cert.pem"), dir.path().join("key.pem")).unwrap();
    let limits = only(|limits| limits.handshakes = 1);
    let server =
        Running::start_with(async || Server::bind("127.0.0.1:0").await.unwrap().limits(limits).tls(tls));
    // Some say nothing, some only hello.
    let mut held = Vec::new();
    for _ in 0..50 {
        held.push(server.client().0);
        let mut hello = connect(&server, &[], &[&TLS13]);
        hello.conn.write_tls(&mut hello.sock).unwrap();
        held.push(hello.sock);
    }
    sleep(Duration::from_millis(300));
    at_once(Duration::from_millis(400), || {
        assert_eq!(status(&ask(&mut connect(&server, &[], &[&TLS13]))), 200);
    });
}

/// Accepts any certificate: what is tested is which one comes.
#[derive(Debug)]
struct Any;

impl ServerCertVerifier for Any {
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
        tokio_rustls::rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
