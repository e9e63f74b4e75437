//! An HTTP/2 client that sends exactly the frames it is given (RFC 9113), with prior knowledge of what it speaks to.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Frame types, RFC 9113 §6.
pub const DATA: u8 = 0;
/// §6.2.
pub const HEADERS: u8 = 1;
/// §6.3.
pub const PRIORITY: u8 = 2;
/// §6.4.
pub const RST_STREAM: u8 = 3;
/// §6.5.
pub const SETTINGS: u8 = 4;
/// §6.6.
pub const PUSH_PROMISE: u8 = 5;
/// §6.7.
pub const PING: u8 = 6;
/// §6.8.
pub const GOAWAY: u8 = 7;
/// §6.9.
pub const WINDOW_UPDATE: u8 = 8;
/// §6.10.
pub const CONTINUATION: u8 = 9;

/// Flags: the last frame of a stream; of SETTINGS and PING, an acknowledgement.
pub const END_STREAM: u8 = 1;
/// The last frame of a header block.
pub const END_HEADERS: u8 = 4;
/// The payload begins with the length of the padding at its end.
pub const PADDED: u8 = 8;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// A connection.
#[derive(Debug)]
pub struct Frames(TcpStream);

impl Frames {
    /// Connects, and sends the preface with these settings, (identifier, value).
    pub fn open(server: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut this = Self::open_without_preface(server);
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        this.send([PREFACE, &frame(SETTINGS, 0, 0, &payload)].concat());
        this
    }

    /// Connects and says nothing.
    pub fn open_without_preface(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        let patience = Some(Duration::from_secs(10));
        stream.set_read_timeout(patience).expect("a timeout");
        stream.set_write_timeout(patience).expect("a timeout");
        Self(stream)
    }

    /// Sends bytes; whether the server still took them.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).is_ok()
    }

    /// Gives up writing after this long.
    pub fn write_patience(&mut self, patience: Duration) {
        self.0.set_write_timeout(Some(patience)).expect("a timeout");
    }

    /// The next frame; `None` when the server has closed.
    ///
    /// # Panics
    ///
    /// When it says nothing for ten seconds.
    pub fn receive(&mut self) -> Option<Frame> {
        let mut header = [0; 9];
        self.fill(&mut header)?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let mut payload = vec![0; length as usize];
        self.fill(&mut payload)?;
        Some(Frame {
            kind: header[3],
            flags: header[4],
            stream: u32::from_be_bytes([header[5] & 0x7f, header[6], header[7], header[8]]),
            payload,
        })
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Option<()> {
        match self.0.read_exact(buffer) {
            Ok(()) => Some(()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("neither a frame nor an end for ten seconds")
            }
            Err(_) => None,
        }
    }
}

impl Frame {
    /// The error code of RST_STREAM and GOAWAY, RFC 9113 §7.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }
}

/// A frame to send.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header block: literals without indexing, new names, no Huffman coding (RFC 7541 §6.2.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            let length = u8::try_from(text.len()).expect("short");
            match length.checked_sub(127) {
                None => block.push(length),
                Some(more) => block.extend([127, more]),
            }
            block.extend(text.as_bytes());
        }
    }
    block
}

/// The fields of a GET, and more.
pub fn get(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let head = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
    ];
    block(&[&head[..], more].concat())
}
