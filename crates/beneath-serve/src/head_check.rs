//! [`HeadCheck`]: refuses an HTTP/1 request head whose end, or whose body's end, two readers could see in
//! different places (request smuggling, CWE-444).
//!
//! hyper's parser is lenient in places and then hides what it saw: it takes a bare LF for a line end, and when
//! a head has both `Transfer-Encoding` and `Content-Length` it believes the first and removes the second. Nothing
//! downstream can notice. So the bytes are looked at on their way into hyper, and where they are not
//! beyond doubt hyper is given [`POISON`] in place of the first doubtful byte: it answers 400 in its turn, after the
//! answers to earlier requests, and closes.
//!
//! This is not a second parser whose reading must match hyper's in every case. It has to agree with hyper on
//! one thing only, where the next head begins, and it makes that easy: a head ends at CR LF CR LF and nowhere else, a
//! body has one plain decimal length or none, and after a chunked body there is no next head, because such a request
//! is the last of its connection ([`Framing::Chunked`]). Everything else (names, values, methods, sizes) is hyper's.

use std::mem;

use memchr::memchr;

/// What hyper is given in place of bytes that are refused: no grammar of a head has a place for NUL, and the
/// rest ends the head, so that hyper looks at it at once.
pub(crate) const POISON: &[u8] = b"\0\r\n\r\n";

/// The bytes of one connection, as far as they have been read.
#[derive(Debug)]
pub(crate) struct HeadCheck {
    state: State,
    /// The beginning of a line whose end has not been read yet. Empty, and without an allocation, unless a
    /// head arrives in pieces.
    line: Vec<u8>,
    /// How long a head may be; hyper answers 431 to a longer one.
    limit: usize,
}

/// A byte that must not reach hyper: the index of the first one among those looked at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) at: usize,
}

#[derive(Debug)]
enum State {
    /// In a head, or before it.
    Head(Head),
    /// In a body of known length: bytes left.
    Body(u64),
    /// After the head of the connection's last request: nothing read from here on is a head.
    Last,
}

/// What is known of a head so far.
#[derive(Debug, Default)]
struct Head {
    bytes: usize,
    empty_lines: u8,
    in_fields: bool,
    http_1_0: bool,
    length: Option<u64>,
    chunked: bool,
}

/// What is wrong with a line.
#[derive(Debug)]
struct Doubtful;

impl HeadCheck {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            state: State::Head(Head::new()),
            line: Vec::new(),
            limit,
        }
    }

    /// Whether the beginning of a head has been read, and not yet its end.
    pub(crate) const fn is_inside_head(&self) -> bool {
        matches!(&self.state, State::Head(head) if head.bytes > 0)
    }

    /// Looks at the bytes that were read next.
    ///
    /// # Errors
    ///
    /// The first byte that must not be passed on. The connection must not be read from after that.
    pub(crate) fn look(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let mut at = 0;
        while at < bytes.len() {
            match &mut self.state {
                State::Last => return Ok(()),
                State::Body(left) => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len() - at);
                    at += here;
                    *left -= here as u64;
                    if *left == 0 {
                        self.state = State::Head(Head::new());
                    }
                }
                State::Head(_) => at = self.look_at_line(bytes, at)?,
            }
        }
        Ok(())
    }

    /// Looks at one line, or at the part of it that is there, and returns where the next begins.
    fn look_at_line(&mut self, bytes: &[u8], start: usize) -> Result<usize, Refused> {
        let State::Head(head) = &mut self.state else {
            return Ok(start);
        };
        let rest = &bytes[start..];
        let end = memchr(b'\n', rest);
        head.bytes = head.bytes.saturating_add(end.map_or(rest.len(), |end| end + 1));
        if head.bytes > self.limit {
            // hyper answers 431 to this head, for it counts the same bytes; and that ends the connection.
            self.line = Vec::new();
            self.state = State::Last;
            return Ok(bytes.len());
        }
        let Some(end) = end else {
            self.line.extend_from_slice(rest);
            return Ok(bytes.len());
        };
        let doubtful = |Doubtful| Refused { at: start + end };
        let next = if self.line.is_empty() {
            head.line(&rest[..end])
        } else {
            let mut line = mem::take(&mut self.line);
            line.extend_from_slice(&rest[..end]);
            head.line(&line)
        };
        if let Some(next) = next.map_err(doubtful)? {
            self.state = next;
        }
        Ok(start + end + 1)
    }
}

impl Head {
    const fn new() -> Self {
        Self {
            bytes: 0,
            empty_lines: 0,
            in_fields: false,
            http_1_0: false,
            length: None,
            chunked: false,
        }
    }

    /// Takes one line, without its LF. The empty line ends the head and says what follows it.
    fn line(&mut self, line: &[u8]) -> Result<Option<State>, Doubtful> {
        let Some((b'\r', line)) = line.split_last() else {
            return Err(Doubtful); // A bare LF (RFC 9112 §2.2 permits to take it for a line end; that is the hole).
        };
        match (self.in_fields, line.is_empty()) {
            (true, true) => return Ok(Some(self.body())),
            (true, false) => self.field(line)?,
            (false, true) => self.empty_line()?,
            (false, false) => {
                self.in_fields = true;
                self.http_1_0 = line.ends_with(b" HTTP/1.0");
            }
        }
        Ok(None)
    }

    /// RFC 9112 §2.2: at least one empty line before the request line should be ignored. One is.
    const fn empty_line(&mut self) -> Result<(), Doubtful> {
        self.empty_lines += 1;
        if self.empty_lines > 1 {
            Err(Doubtful)
        } else {
            Ok(())
        }
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Doubtful> {
        // The name ends at the colon. White space before that (RFC 9112 §5.1), or first in a line that goes on with
        // the one before (§5.2), could pass for something else with a reader that trims.
        let end = line
            .iter()
            .position(|&byte| byte == b':' || !byte.is_ascii_graphic());
        let (name, value) = match end.map(|end| line.split_at(end)) {
            Some((name, [b':', value @ ..])) => (name, value),
            _ => return Err(Doubtful),
        };
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value.trim_ascii()),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.transfer_encoding(value.trim_ascii())
            }
            _ => Ok(()),
        }
    }

    /// RFC 9112 §6.3: one length, in decimal digits. The standard permits to accept the same length
    /// twice; nobody sends that.
    fn content_length(&mut self, value: &[u8]) -> Result<(), Doubtful> {
        if self.chunked || self.length.is_some() {
            return Err(Doubtful);
        }
        self.length = Some(decimal(value).ok_or(Doubtful)?);
        Ok(())
    }

    /// RFC 9112 §6.1: chunked, once, alone, not in HTTP/1.0 and not beside a length.
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Doubtful> {
        let plain = value.eq_ignore_ascii_case(b"chunked");
        if !plain || self.chunked || self.length.is_some() || self.http_1_0 {
            return Err(Doubtful);
        }
        self.chunked = true;
        Ok(())
    }

    const fn body(&self) -> State {
        match self.length {
            _ if self.chunked => State::Last,
            Some(length) if length > 0 => State::Body(length),
            _ => State::Head(Self::new()),
        }
    }
}

/// Digits and nothing else: no sign, no space, no more than fit.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of `bytes` when they arrive whole, byte by byte, and in every two pieces: always the same.
    fn look(bytes: &[u8]) -> Result<bool, Refused> {
        let whole = run(&[bytes]);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(whole, run(&single), "byte by byte: {}", bytes.escape_ascii());
        for cut in 0..bytes.len() {
            let (left, right) = bytes.split_at(cut);
            assert_eq!(
                whole,
                run(&[left, right]),
                "cut at {cut}: {}",
                bytes.escape_ascii()
            );
        }
        whole
    }

    /// `Ok(true)`: at the beginning of another head.
    fn run(pieces: &[&[u8]]) -> Result<bool, Refused> {
        let mut check = HeadCheck::new(1024);
        let mut before = 0;
        for piece in pieces {
            check
                .look(piece)
                .map_err(|Refused { at }| Refused { at: before + at })?;
            before += piece.len();
        }
        Ok(matches!(&check.state, State::Head(head) if head.bytes == 0))
    }

    #[test]
    fn plain_requests_pass_one_after_the_other() {
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".as_slice(),
            b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.0\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: b\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: b\r\n\r\n",
            b"POST / HTTP/1.1\r\ncontent-LENGTH:\t5 \r\n\r\na\nb\n\nGET /b HTTP/1.1\r\nHost: b\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        ] {
            assert_eq!(look(bytes), Ok(true), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn nothing_after_a_chunked_body_is_looked_at_for_it_is_the_last_request() {
        let bytes = b"POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n\n\n\n";
        assert_eq!(look(bytes), Ok(false));
    }

    #[test]
    fn whatever_two_readers_could_see_differently_is_refused_at_the_line_that_shows_it() {
        for (bytes, line) in [
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", "GET / HTTP/1.1"),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", "Host: a"),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n", "Host: a\r\n"),
            ("\nGET / HTTP/1.1\r\n", ""),
            ("\r\n\r\nGET / HTTP/1.1\r\n", "\r\n\r"),
            ("GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", " b\r"),
            ("GET / HTTP/1.1\r\nX: a\r\n\tb\r\n\r\n", "\tb\r"),
            ("GET / HTTP/1.1\r\nContent-Length : 5\r\n\r\n", "Length : 5\r"),
            ("GET / HTTP/1.1\r\nContent-Length\x0b: 5\r\n\r\n", ": 5\r"),
            ("GET / HTTP/1.1\r\nno colon\r\n\r\n", "no colon\r"),
            ("POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n", "+5\r"),
            ("POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", "-5\r"),
            ("POST / HTTP/1.1\r\nContent-Length: 0x5\r\n\r\n", "0x5\r"),
            ("POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n", "5, 5\r"),
            ("POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", "Content-Length:\r"),
            (
                "POST / HTTP/1.1\r\nContent-Length: 18446744073709551621\r\n\r\n",
                "51621\r",
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
                ": 6\r",
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
                "5\r\nContent-Length: 5\r",
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                "chunked\r",
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
                ": 5\r",
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
                "xchunked\r",
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                "gzip, chunked\r",
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n",
                "identity\r",
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                "chunked\r\nTransfer-Encoding: chunked\r",
            ),
            (
                "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
                "chunked\r",
            ),
        ] {
            let at = bytes.find(line).unwrap() + line.len();
            assert_eq!(
                look(bytes.as_bytes()),
                Err(Refused { at }),
                "{}",
                bytes.escape_debug()
            );
        }
    }

    #[test]
    fn a_head_that_hyper_answers_431_to_is_the_last() {
        let mut check = HeadCheck::new(64);
        assert_eq!(check.look(&[b'a'; 60]), Ok(()));
        assert_eq!(check.look(b"aaaaaaaaaaaaaaa\n\n\n\n"), Ok(()));
        assert!(matches!(check.state, State::Last));
        assert_eq!(check.line.capacity(), 0);
    }

    #[test]
    fn a_head_in_one_piece_allocates_nothing() {
        let mut check = HeadCheck::new(1024);
        check.look(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(check.line.capacity(), 0);
    }
}
