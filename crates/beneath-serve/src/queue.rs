//! What the kernel still holds of what was written to a socket.
//!
//! The one place with `unsafe`: rustix cannot know what an ioctl does with its argument, and no safe and well-kept wrapper
//! of this one was found.

#![allow(unsafe_code, reason = "an ioctl that rustix has no name for")]

use std::ffi::c_int;
use std::os::fd::BorrowedFd;

use rustix::ioctl::{Getter, Opcode, ioctl};

/// `SIOCOUTQ` is `TIOCOUTQ` by another name, on every architecture (`linux/sockios.h`).
const SIOCOUTQ: Opcode = libc::TIOCOUTQ as Opcode;

/// How many bytes were written to this socket and not acknowledged by the other side's kernel, sent or not (`SIOCOUTQ`, tcp(7)).
/// Of a unix socket, not read by the other side, with what the kernel needs to keep them (unix(7)). None of a
/// socket that cannot tell.
pub(crate) fn unacknowledged(socket: BorrowedFd<'_>) -> u64 {
    // SAFETY: for a socket the kernel writes one `int` through the argument and nothing else (`tcp_ioctl` in net/ipv4/tcp.c,
    // `unix_ioctl` in net/unix/af_unix.c), which is what a `Getter` of a `c_int` gives it room for; a terminal, the other thing
    // that knows the number, does the same (`n_tty_ioctl_helper`); anything else refuses without touching it.
    let asked = unsafe { ioctl(socket, Getter::<SIOCOUTQ, c_int>::new()) };
    asked
        .ok()
        .and_then(|bytes| u64::try_from(bytes).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

    use super::*;

    fn becomes(what: &str, is_so: impl Fn() -> bool) {
        let begin = Instant::now();
        while !is_so() {
            assert!(begin.elapsed() < Duration::from_secs(10), "{what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn what_a_client_does_not_take_is_in_the_queue_and_what_it_takes_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        assert_eq!(unacknowledged(server.as_fd()), 0);
        server.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(some) = server.write(&[7; 16 * 1024]) {
            written += some as u64;
        }
        let queued = unacknowledged(server.as_fd());
        assert!(queued > 0 && queued <= written, "{queued} of {written}");
        let mut taken = vec![0; usize::try_from(written).unwrap()];
        client.read_exact(&mut taken).unwrap();
        becomes("all was taken", || unacknowledged(server.as_fd()) == 0);
    }

    #[test]
    fn a_unix_socket_tells_when_all_was_read() {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        one.write_all(&[7; 1000]).unwrap();
        assert!(unacknowledged(one.as_fd()) >= 1000);
        other.read_exact(&mut [0; 1000]).unwrap();
        becomes("all was read", || unacknowledged(one.as_fd()) == 0);
    }

    #[test]
    fn what_is_no_socket_holds_nothing() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(unacknowledged(file.as_fd()), 0);
    }
}
