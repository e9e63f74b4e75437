//! A client that sends exactly the bytes it is given: real ones normalise what a test is about.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Everything up to the empty line, without the status line.
    pub head: String,
    /// What came after it.
    pub body: Vec<u8>,
}

impl Answer {
    /// The values of all fields of this name, in order.
    pub fn fields<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.head.lines().filter_map(move |line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// All of it but for the time of day: two answers that a client cannot tell apart are equal.
    #[must_use]
    pub fn without_date(mut self) -> Self {
        let head = self
            .head
            .lines()
            .filter(|line| !line.to_lowercase().starts_with("date:"));
        self.head = head.collect::<Vec<_>>().join("\n");
        self
    }

    /// The value of the one field of this name.
    pub fn field<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let mut values = self.fields(name);
        let value = values.next();
        assert!(values.next().is_none(), "{name} twice in {}", self.head);
        value
    }
}

/// Sends `request` and reads until the server closes: put `Connection: close` into it.
pub fn exchange(server: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    let mut stream = TcpStream::connect(server).expect("the server listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    stream.write_all(request.as_ref()).expect("the server reads");
    let mut bytes = Vec::new();
    // A reset after an early refusal must not hide what was read before it.
    let _ = stream.read_to_end(&mut bytes);
    parse(&bytes)
}

/// A GET with credentials, and more field lines that each end in CRLF.
pub fn get(server: SocketAddr, path: &str, authorization: &str, more: &str) -> Answer {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\nConnection: close\r\n{more}\r\n"
    );
    exchange(server, request)
}

fn parse(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer in {:?}", String::from_utf8_lossy(bytes)));
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let (status_line, head) = head.split_once("\r\n").unwrap_or((&head, ""));
    let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("no status in {status_line:?}")),
        head: head.to_owned(),
        body: bytes[end + 4..].to_vec(),
    }
}
