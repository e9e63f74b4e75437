//! An accept loop for hyper and axum applications whose connections cannot be exhausted.
//!
//! In the place of `axum::serve`:
//!
//! ```no_run
//! # async fn example(app: axum::Router) -> Result<(), beneath_serve::Error> {
//! let shutdown = async { drop(tokio::signal::ctrl_c().await) };
//! let drained = beneath_serve::Server::bind("[::]:8080").await?
//!     .serve(app, shutdown)
//!     .await?;
//! println!("{} connections had to be cut", drained.aborted);
//! # Ok(()) }
//! ```
//!
//! With hyper alone, any tower service from `Request<`[`RequestBody`]`>` to a response whose body yields
//! [`Bytes`](bytes::Bytes):
//!
//! ```no_run
//! use beneath_serve::{RequestBody, Server};
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use std::convert::Infallible;
//!
//! async fn hello(_: Request<RequestBody>) -> Result<Response<Full<bytes::Bytes>>, Infallible> {
//!     Ok(Response::new(Full::from("hello")))
//! }
//!
//! # async fn example() -> Result<(), beneath_serve::Error> {
//! Server::bind("[::]:8080").await?.serve(tower::service_fn(hello), std::future::pending()).await?;
//! # Ok(()) }
//! ```
//!
//! hyper leaves the loop around it to the application, and the loops that applications write (as `axum::serve`
//! does) hold for ever whoever says nothing, drips a head, or asks for a file and does not read it. One person with
//! one computer can take all connections of such a server, and each may pin a file.
//!
//! # Promise
//!
//! * **Every wait for a client ends**: for a request head, a request body, for the client to take what it asked
//!   for, for its next request, for a TLS handshake; in HTTP/1 and HTTP/2. [`Limits`] says when, and
//!   no request has a timer of its own.
//! * **There is room for one more**: connections are bounded, no address can hold all of them, and a process without
//!   descriptors answers 503 and recovers.
//! * **Each request has one beginning, one end and one host.** What two readers could see differently is answered 400
//!   before the application sees it.
//! * **Floods are bounded**: heads, header lists, streams, resets, CONTINUATION and control frames.
//! * **Shutdown ends** when it was said to end, and tells how.
//! * **Files are not copied** where they need not be ([`beneath_http::direct`] in an axum application, [`Server::serve_files`]), and what stands for their bytes on the way can reach
//!   no client and no middleware as data.
//! * **A certificate can change** without a connection lost; a bad one changes nothing.
//!
//! # Not promised
//!
//! Upgrades (WebSocket, `CONNECT`) are not served. There is no limit on the rate of requests, none on how long a
//! handler takes, and no defence against more addresses than there are connections, nor against more traffic than
//! the network carries. A handler that blocks its thread blocks others: that is tokio's contract; the requests of one HTTP/2
//! connection share a task, so that `block_in_place` helps none of them, and `spawn_blocking` does. Limits per
//! address are of no use behind a proxy, which is one address; its own limits are needed there, and to be named in
//! [`Limits::proxies`], or a loopback or unix socket: those are not counted. Of what was already handed to the kernel (128 KiB, of files that are sent without a
//! copy 1 MiB) [`Abort`] takes back what it holds on HTTP/1, and nothing on HTTP/2; there it takes back what waits for the client's
//! window. A file that is sent without a copy is held, with the right to it, until the client has acknowledged its last byte.
//!
//! # What is refused, and where
//!
//! | what | answer | by |
//! |---|---|---|
//! | a bare LF in a head; a folded line; white space before a colon; two empty lines first | 400, close | `head_check` |
//! | `Content-Length` twice, not in digits, or beside `Transfer-Encoding` | 400, close | `head_check` |
//! | a transfer coding other than `chunked`, twice, or in HTTP/1.0 | 400, close | `head_check` |
//! | everything else that is no HTTP/1 head | 400, close | hyper |
//! | no `Host`, two, one that is none, or one that is not `:authority` | 400 | `host` |
//! | a head above [`Limits::header_bytes`]; more than 100 fields | 431, close | hyper |
//! | a body above [`Limits::request_body`] | 413 if announced, else [`RequestBodyError::TooLarge`] (of which axum's extractors make 400) | `guarded`, `request_body` |
//! | half a head for too long | 408, close | `watchdog` |
//! | too slow, or nothing taken | reset | `watchdog` |
//! | nothing asked | close, GOAWAY | `watchdog` |
//! | more connections than an address's share | 503 (over TLS nothing), close | `admission` |
//! | no descriptors | 503 (over TLS nothing), close | `listener` |
//! | rapid reset, MadeYouReset, CONTINUATION flood, too many streams | GOAWAY | h2, within bounds set in `protocol` |
//!
//! A request with a chunked body is the last of its connection: its answer carries `Connection: close`. Clients that
//! send bodies of unknown length are few, and in exchange the check needs to know nothing about chunks.
//!
//! # Cost
//!
//! One task per connection, no timer and no spawn per request (not for HTTP/2 streams either), one reading of the clock and
//! a look at the bytes of the head per request: about 0.6 µs beside hyper alone. An idle HTTP/1 connection gives hyper's
//! buffers back after a tenth of a second and then takes about 2 KiB instead of 10; one that sends a file without a copy does so
//! at once when it has to wait for the client. The example `overhead` measures the first two.
//!
//! # Unsafe
//!
//! One system call, in `queue`: how many bytes the client has not acknowledged, by which a slow client is judged.

#![deny(unsafe_code)] // `queue` alone may: see there.

mod admission;
mod connection;
mod error;
mod exchange;
mod guarded;
mod head_check;
mod host;
mod limits;
mod listener;
mod peer;
mod plain;
mod protocol;
mod proxies;
mod queue;
mod request_body;
mod sendfile;
mod server;
mod socket;
mod streams;
mod tls;
mod watchdog;
mod wire;

pub use error::Error;
pub use limits::Limits;
pub use peer::{Abort, Peer};
pub use proxies::Proxies;
pub use request_body::{RequestBody, RequestBodyError};
pub use server::{Drained, Server};
pub use tls::Tls;
