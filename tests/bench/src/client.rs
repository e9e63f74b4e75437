//! The smallest client that can tell a right answer from a wrong one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::net;

use crate::corpus::Content;

/// A GET as every server gets it, byte for byte.
#[must_use]
pub fn request(path: &str, authorization: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n\r\n")
}

/// A keep-alive connection.
#[derive(Debug)]
pub struct Connection<S = TcpStream> {
    stream: S,
    /// What was read beyond the last head.
    buffer: Vec<u8>,
}

/// The head of an answer.
#[derive(Debug)]
#[non_exhaustive]
pub struct Head {
    /// Status line and fields, with the empty line.
    pub text: String,
    /// `Content-Length`.
    pub content_length: u64,
}

impl Connection {
    /// Connects, with patience that ends.
    pub fn open(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&server, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self::over(stream))
    }

    /// A client that takes what it is sent through a receive buffer of a few KiB.
    pub fn open_narrow(server: SocketAddr) -> Result<Self> {
        let socket = net::socket(net::AddressFamily::INET, net::SocketType::STREAM, None)?;
        // Before connecting: the window scale is agreed upon then.
        net::sockopt::set_socket_recv_buffer_size(&socket, 4096)?;
        net::connect(&socket, &server)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self::over(stream))
    }
}

impl<S: Read + Write> Connection<S> {
    /// Speaks over a stream that is there, such as one of TLS.
    pub fn over(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Sends a request and reads the head of its answer, which must be 200 with a length.
    pub fn begin(&mut self, request: &str) -> Result<Head> {
        self.stream.write_all(request.as_bytes())?;
        let end = loop {
            if let Some(found) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break found + 4;
            }
            ensure!(self.buffer.len() < 64 * 1024, "a head without end");
            let mut part = [0; 4096];
            let count = self.stream.read(&mut part)?;
            ensure!(
                count > 0,
                "closed in the head: {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
            self.buffer
                .extend_from_slice(part.get(..count).context("in range")?);
        };
        let text = String::from_utf8(self.buffer.drain(..end).collect())?;
        ensure!(text.starts_with("HTTP/1.1 200 "), "not 200 but {text}");
        let content_length = content_length(&text).with_context(|| format!("no length: {text}"))?;
        Ok(Head { text, content_length })
    }

    /// Reads some of the body; nothing at the end of the stream.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.buffer.is_empty() {
            return Ok(self.stream.read(buffer)?);
        }
        let count = self.buffer.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(self.buffer.drain(..count)) {
            *to = from;
        }
        Ok(count)
    }

    /// Reads `len` bytes and looks at none of them.
    pub fn skip(&mut self, len: u64, buffer: &mut [u8]) -> Result<()> {
        let mut left = len;
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let count = self.read(buffer.get_mut(..part).context("in range")?)?;
            ensure!(count > 0, "closed {left} bytes too early");
            left -= count as u64;
        }
        Ok(())
    }

    /// The socket, for whoever wants to wait for many.
    #[must_use]
    pub fn into_stream(self) -> S {
        self.stream
    }
}

/// Asks for a file and compares all of it with what it must be. The length of the head is returned.
///
/// # Errors
///
/// Any status but 200, any other length, any other byte.
pub fn verify<S: Read + Write>(
    mut connection: Connection<S>,
    request: &str,
    name: &str,
    size: u64,
) -> Result<usize> {
    let head = connection.begin(request)?;
    ensure!(
        head.content_length == size,
        "{name} is {size} bytes, not {}",
        head.content_length
    );
    let mut content = Content::of(name);
    let (mut received, mut expected) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut left = size;
    while left > 0 {
        let part = usize::try_from(left.min(64 * 1024))?;
        let received = received.get_mut(..part).context("in range")?;
        let expected = expected.get_mut(..part).context("in range")?;
        let mut filled = 0;
        while filled < part {
            let count = connection.read(received.get_mut(filled..).context("in range")?)?;
            ensure!(count > 0, "{name}: closed {left} bytes too early");
            filled += count;
        }
        content.fill(expected);
        ensure!(
            received == expected,
            "{name}: wrong bytes {} before the end",
            left
        );
        left -= part as u64;
    }
    // The connection must be at the beginning of an answer now: nothing follows the promised bytes.
    let again = connection.begin(request)?;
    ensure!(
        again.content_length == size,
        "{name}: the second answer on the connection differs"
    );
    Ok(head.text.len())
}

fn content_length(head: &str) -> Option<u64> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())
            .flatten()
    })
}
