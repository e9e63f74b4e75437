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
    ask(
        server,
        "GET",
        path,
        &format!("Authorization: {authorization}\r\n{more}"),
    )
}

/// A request of these field lines, that each end in CRLF.
pub fn ask(server: SocketAddr, method: &str, path: &str, fields: &str) -> Answer {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
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

/// A connection that stays open from request to request.
#[derive(Debug)]
pub struct Connection {
    server: SocketAddr,
    stream: TcpStream,
}

impl Connection {
    /// Connects.
    pub fn open(server: SocketAddr) -> Self {
        let stream = connect(server);
        Self { server, stream }
    }

    /// Sends a request and reads its answer, over a new connection if the server has closed this one.
    pub fn ask(&mut self, request: &str) -> Answer {
        self.ask_unless_cut(request).expect("a whole answer")
    }

    /// As [`ask`](Self::ask), or `None` if the answer was cut off.
    pub fn ask_unless_cut(&mut self, request: &str) -> Option<Answer> {
        for _ in 0..2 {
            let mut bytes = Vec::new();
            match self.exchange(request, &mut bytes) {
                Some(answer) => return Some(answer),
                None => self.stream = connect(self.server),
            }
            if !bytes.is_empty() {
                return None;
            }
        }
        panic!("no answer over a new connection");
    }

    /// `None` if it was closed before the answer was whole.
    fn exchange(&mut self, request: &str, bytes: &mut Vec<u8>) -> Option<Answer> {
        self.stream.write_all(request.as_bytes()).ok()?;
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(read @ 1..) => bytes.extend(&buffer[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("no answer for 20 seconds")
                }
                _ => return None,
            }
            if !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
                continue;
            }
            let answer = parse(bytes);
            let length = answer.field("content-length").expect("a length");
            if answer.body.len() >= length.parse().expect("a number") {
                return Some(answer);
            }
        }
    }
}

fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).expect("the server listens");
    stream.set_nodelay(true).expect("a TCP socket");
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).expect("a timeout");
    stream
}
