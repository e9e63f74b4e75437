//! A client that sends the bytes it is given and nothing else. It normalises nothing, so it can lie.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// No answer of these tests takes this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// One answer, as it stood on the wire.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// Splits what came over the connection. The bytes of the head are taken as Latin-1, so none is lost.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer, but {:?}", String::from_utf8_lossy(bytes)));
        let head: String = bytes[..end].iter().copied().map(char::from).collect();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("no status in {head:?}")),
            head,
            body: bytes[end + 4..].to_vec(),
        }
    }

    /// All field lines of this name.
    pub(crate) fn fields(&self, name: &str) -> Vec<&str> {
        let lines = self
            .head
            .split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        lines
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    /// The one field line of this name, or the empty text. Two are a failure.
    pub(crate) fn field(&self, name: &str) -> &str {
        let all = self.fields(name);
        assert!(all.len() < 2, "{name} twice: {}", self.head);
        all.first().copied().unwrap_or_default()
    }

    /// Whether the head or the body has this text in it.
    pub(crate) fn contains(&self, needle: &str) -> bool {
        self.head.contains(needle)
            || self
                .body
                .windows(needle.len())
                .any(|bytes| bytes == needle.as_bytes())
    }

    /// Neither the file nor a failure of the server: what a request for nothing is told.
    #[track_caller]
    pub(crate) fn assert_refused(&self, what: &str) {
        assert!(matches!(self.status, 400 | 404), "{what}: {}", self.head);
        assert!(!self.contains(super::SECRET), "{what}: {self:?}");
        assert!(self.fields("location").is_empty(), "{what}: {}", self.head);
    }
}

/// A connection on which nothing waits longer than a test may.
pub(crate) fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes on a new connection and returns everything that comes back until the server closes.
pub(crate) fn exchange(addr: SocketAddr, request: impl AsRef<[u8]>) -> Vec<u8> {
    let mut stream = connect(addr);
    // A server may answer and close before it has read everything.
    let _ = stream.write_all(request.as_ref());
    until_closed(&mut stream)
}

/// Everything until the server closes. A server that keeps the connection open is a failure.
pub(crate) fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 65536];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return bytes,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return bytes,
            Err(error) => panic!(
                "{error} after {:?}",
                String::from_utf8_lossy(&bytes[..bytes.len().min(2000)])
            ),
        }
    }
}

/// One raw request, one answer.
pub(crate) fn raw(addr: SocketAddr, request: impl AsRef<[u8]>) -> Reply {
    Reply::parse(&exchange(addr, request))
}

/// `METHOD target` with these field lines, each without its line end.
pub(crate) fn request(addr: SocketAddr, method: &str, target: impl AsRef<[u8]>, fields: &[&str]) -> Reply {
    let mut bytes = method.as_bytes().to_vec();
    bytes.push(b' ');
    bytes.extend_from_slice(target.as_ref());
    bytes.extend_from_slice(b" HTTP/1.1\r\nHost: files.example.org\r\nConnection: close\r\n");
    for field in fields {
        bytes.extend_from_slice(field.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    raw(addr, bytes)
}

/// `GET target` with these field lines.
pub(crate) fn get(addr: SocketAddr, target: impl AsRef<[u8]>, fields: &[&str]) -> Reply {
    request(addr, "GET", target, fields)
}
