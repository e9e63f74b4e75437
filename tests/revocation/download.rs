//! A long download under way, and when its last byte came.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::scene::{LARGE, request};

pub struct Download {
    stream: TcpStream,
    begun: Instant,
    received: u64,
}

impl Download {
    /// Once its first bytes are there. Little is kept in sockets: what a client receives late may have been sent early.
    pub fn start(server: SocketAddr, id: &str) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(PIECE).unwrap();
        socket.connect(&server.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request(id, "").as_bytes()).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        Self {
            stream,
            begun: Instant::now(),
            received: 0,
        }
    }

    /// More of it, a second at most for each 64 MB; `None` if no more comes. What lies here when the connection is gone already
    /// came before that, however late a busy machine lets this look.
    pub fn more(&mut self) -> Option<Instant> {
        assert!(self.begun.elapsed() < PATIENCE, "nobody cuts it");
        if self.stream.take_error().unwrap().is_some() {
            return None;
        }
        let mut piece = [0; PIECE];
        let came = match self.stream.read(&mut piece) {
            Ok(read @ 1..) => {
                self.received += read as u64;
                Some(Instant::now())
            }
            Ok(0) => None,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("neither more nor an end for 20 seconds")
            }
            Err(_) => None,
        };
        std::thread::sleep(Duration::from_millis(1));
        came
    }

    /// How long until the connection is known to be gone, without taking anything of what is there.
    pub fn gone_within(&self, bound: Duration) -> Option<Duration> {
        let begin = Instant::now();
        while begin.elapsed() < bound {
            if self.stream.take_error().unwrap().is_some() {
                return Some(begin.elapsed());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        None
    }

    /// How much of it came; never all.
    pub fn received(&self) -> u64 {
        assert!(self.received < LARGE, "it is whole");
        self.received
    }
}

const PIECE: usize = 64 << 10;

/// Longer than any history; a test that fails must end, too.
const PATIENCE: Duration = Duration::from_secs(60);
