//! [`ServeRoot`]: a [`Service`] that serves the files beneath one [`Root`].

mod coding;
mod digests;
mod lookup;
mod memory;
mod refusal;
mod target;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use beneath::{ErrorKind, RelPath, Root};
use http::header::{ACCEPT_ENCODING, VARY};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tower_service::Service;

use crate::plan::{Plan, plan};
use crate::response::MAX_RANGES;
use crate::validators::Fields;
use crate::{BareRanges, Disposition, FileBody, FileResponse, digest};

use coding::Accepted;
pub use coding::Coding;
use digests::{Digests, Hashing};
use lookup::{Found, Lookup, Miss};
use memory::Memory;
use refusal::Refusal;
use target::Target;

/// Serves the files beneath a [`Root`] over HTTP: what `ServeDir` of tower-http is for a path, without the window between
/// check and use.
///
/// A [`tower_service::Service`], so it is at home in axum (`Router::fallback_service`, `nest_service`), in bare hyper
/// and wherever else a `Service` is. A router that cuts a prefix off passes the prefix alone as `/`: the index is the answer to
/// `/files` as it is to `/files/`, and what is relative in it leads elsewhere from the first.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let site = tempfile::tempdir()?;
/// use std::sync::Arc;
/// use beneath::{Root, ambient_authority};
/// use beneath_http::{Coding, ServeRoot};
///
/// let root = Arc::new(Root::open_ambient(site.path(), ambient_authority())?);
/// let files = ServeRoot::new(root).precompressed([Coding::Brotli, Coding::Gzip]);
/// let app: axum::Router = axum::Router::new().fallback_service(files);
/// # Ok(())
/// # }
/// ```
///
/// # What a request names
///
/// | path | answer |
/// |---|---|
/// | `/a/b.txt` | the file, or one of its [precompressed](Self::precompressed) siblings |
/// | `/a/` | the [index](Self::index) file in it, or 404: nothing is ever listed |
/// | `/a`, a directory with an index file | 307 to `./a/`; nothing of the request is echoed, its query neither |
/// | not a path (RFC 3986): `/%zz`, `*` | 400 |
/// | a path that no file beneath a root has: `/../a`, `//a`, `/a%2fb`, `/a%00`, `/a\b` | 404 |
/// | any other method than GET and HEAD | 405 |
///
/// The path is decoded exactly once, into a [`RelPath`]. A file name with a backslash cannot be asked for, since
/// browsers and some proxies take it for a slash.
///
/// What is not served looks the same for every reason (404, the same bytes): not there, a link, a FIFO, no
/// permission. Out of descriptors or locked is 503 with `Retry-After`, a failing disk 500, neither with details.
///
/// # Security
///
/// This is for a **web site**: what lies beneath the root is trusted as much as the code of the site. HTML and scripts
/// are sent to be shown and run. For files that strangers have put there use [`FileResponse`] from a handler: it
/// sends them as attachments. All that lies beneath the root is public, names that begin with a dot included.
///
/// # Resuming
///
/// Clients that resume without If-Range (`wget -c`, `curl -C -`, aria2) splice two versions if the file was replaced meanwhile.
/// For an hour after this service has seen a name change its file, a range that says no version and could be the rest of
/// another is answered 428 (RFC 6585 §3), and such a client gives up; see [`BareRanges::FromTheStart`] for what is served all the
/// same, and [`bare_ranges`](ServeRoot::bare_ranges) to turn this off. It cannot know of replacements from before it was made, nor
/// of what another process sent; and a file that grows counts as one that changed.
///
/// # Cost
///
/// One openat2(2) and one statx(2) per candidate, in place where the answer is in memory, otherwise on a blocking thread of
/// tokio. Without a tokio runtime it opens in place.
#[derive(Clone)]
pub struct ServeRoot {
    root: Arc<Root>,
    options: Arc<Options>,
    memory: Arc<Memory>,
    digests: Arc<Digests>,
}

#[derive(Clone, Debug)]
struct Options {
    index: Option<RelPath>,
    precompressed: Vec<Coding>,
    cache_control: Option<HeaderValue>,
    text_is_utf8: bool,
    /// After a replacement.
    bare_ranges: BareRanges,
    /// In bytes: the longest file that is hashed for who wants its digest.
    digests_up_to: u64,
}

impl ServeRoot {
    /// Serves what the root opens, by its [`Policy`](beneath::Policy); `index.html` is the index file.
    pub fn new(root: Arc<Root>) -> Self {
        let options = Options {
            index: RelPath::parse("index.html").ok(),
            precompressed: Vec::new(),
            cache_control: None,
            text_is_utf8: false,
            bare_ranges: BareRanges::FromTheStart,
            digests_up_to: 0,
        };
        Self {
            root,
            options: Arc::new(options),
            memory: Arc::new(Memory::new()),
            digests: Arc::new(Digests::new()),
        }
    }

    /// The file that answers for its directory; `None` for no such thing.
    #[must_use]
    pub fn index(mut self, name: impl Into<Option<RelPath>>) -> Self {
        Arc::make_mut(&mut self.options).index = name.into();
        self
    }

    /// Content codings to look for beside a file (`a.css.br` for `a.css`), where the request accepts them; in the order of
    /// preference among those the request weighs alike (RFC 9110 §12.5.3).
    ///
    /// A sibling is opened beneath the same root, has its own length and entity tag, and keeps the media type of the
    /// file it stands for. Every answer then carries `Vary: accept-encoding`. Nothing is compressed on the way, and nothing tells
    /// that a sibling is older than its file: whoever changes one has to change the other.
    #[must_use]
    pub fn precompressed(mut self, codings: impl IntoIterator<Item = Coding>) -> Self {
        Arc::make_mut(&mut self.options).precompressed = codings.into_iter().collect();
        self
    }

    /// `Cache-Control` of the files that are sent; none by default.
    #[must_use]
    pub fn cache_control(mut self, value: HeaderValue) -> Self {
        Arc::make_mut(&mut self.options).cache_control = Some(value);
        self
    }

    /// With [`BareRanges::Serve`], ranges that say no version are served also after a file was replaced: for clients that check by
    /// themselves that all they got is of one version.
    #[must_use]
    pub fn bare_ranges(mut self, bare_ranges: BareRanges) -> Self {
        Arc::make_mut(&mut self.options).bare_ranges = bare_ranges;
        self
    }

    /// Says `charset=utf-8` of all text. Without it no charset is said, because nobody but the operator knows.
    #[must_use]
    pub fn text_is_utf8(mut self) -> Self {
        Arc::make_mut(&mut self.options).text_is_utf8 = true;
        self
    }

    /// Sends `Repr-Digest` (RFC 9530) to whoever sends `Want-Repr-Digest: sha-256`, of files of at most so many bytes; of none by
    /// default, for a digest costs reading the whole file.
    ///
    /// Two files are hashed at once, each before its answer begins. The digests of 4,096 versions of files are
    /// remembered, by identity, length and the times of modification and change.
    #[must_use]
    pub fn digests_up_to(mut self, bytes: u64) -> Self {
        Arc::make_mut(&mut self.options).digests_up_to = bytes;
        self
    }
}

impl fmt::Debug for ServeRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeRoot")
            .field("root", &self.root)
            .field("options", &self.options)
            .finish()
    }
}

impl<B> Service<Request<B>> for ServeRoot {
    type Response = Response<FileBody>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        // Neither GET nor HEAD has a use for content, so it is never read.
        let (head, _) = request.into_parts();
        let opening = match self.options.lookup(&head) {
            Ok(lookup) => Opening::start(lookup, &self.root),
            Err(refusal) => Opening::Ended(Err(refusal)),
        };
        Answering {
            head,
            opening,
            hashing: None,
            options: Arc::clone(&self.options),
            memory: Arc::clone(&self.memory),
            digests: Arc::clone(&self.digests),
        }
    }
}

impl Options {
    /// From the head of a request to what is to be opened; HEAD goes the way of GET (RFC 9110 §9.3.2).
    fn lookup(&self, head: &Parts) -> Result<Lookup, Refusal> {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Err(Refusal::MethodNotAllowed);
        }
        let accepted = Accepted::choose(&head.headers, &self.precompressed);
        let (published, index) = match Target::parse(head.uri.path())? {
            Target::File(path) => {
                let index = self.index_in(&path).ok();
                (path, index)
            }
            Target::Directory(path) => (self.index_in(&path)?, None),
            Target::Root => (self.index.clone().ok_or(Refusal::NotFound)?, None),
        };
        Ok(Lookup {
            published,
            accepted,
            index,
        })
    }

    fn index_in(&self, directory: &RelPath) -> Result<RelPath, Refusal> {
        let index = self.index.as_ref().ok_or(Refusal::NotFound)?;
        directory.join(index).map_err(|_| Refusal::NotFound)
    }

    /// Whether the digest of this file is wanted, not too dear, and will be said.
    fn wants_digest_of(&self, found: &Found, head: &Parts) -> bool {
        let metadata = found.file.metadata();
        let answer = || {
            let current = Fields::of(metadata, SystemTime::now()).representation(metadata);
            plan(&head.method, &head.headers, &current, MAX_RANGES)
        };
        metadata.len() <= self.digests_up_to
            && digest::asks_for_repr(&head.headers)
            && matches!(answer(), Plan::Whole | Plan::Part(_) | Plan::Parts(_))
    }

    fn answer(
        &self,
        head: &Parts,
        opened: Result<(Found, Option<[u8; 32]>), Refusal>,
        memory: &Memory,
    ) -> Response<FileBody> {
        let mut response = match opened {
            Ok((found, digest)) => self.file(head, found, digest, memory),
            Err(refusal) => refusal.respond(&head.method),
        };
        if !self.precompressed.is_empty() {
            // Also where no sibling was there: the next request may find one.
            response
                .headers_mut()
                .insert(VARY, HeaderValue::from(ACCEPT_ENCODING));
        }
        response
    }

    fn file(
        &self,
        head: &Parts,
        found: Found,
        digest: Option<[u8; 32]>,
        memory: &Memory,
    ) -> Response<FileBody> {
        let bare_ranges = match memory.note(&found) {
            BareRanges::Serve => BareRanges::Serve,
            BareRanges::FromTheStart => self.bare_ranges,
        };
        let name = found.published.file_name();
        let mut response = FileResponse::new(found.file)
            .named(name)
            .disposition(Disposition::None)
            .bare_ranges(bare_ranges);
        if let Some(coding) = found.coding {
            response = response.content_encoding(HeaderValue::from_static(coding.token()));
        }
        if let Some(value) = &self.cache_control {
            response = response.cache_control(value.clone());
        }
        if self.text_is_utf8 {
            response = response.text_is_utf8();
        }
        if let Some(digest) = digest {
            response = response.repr_digest(digest);
        }
        response.respond(head)
    }
}

/// The future of a [`ServeRoot`]: the answer, once the file is open.
#[must_use = "futures do nothing unless polled"]
pub struct Answering {
    head: Parts,
    options: Arc<Options>,
    memory: Arc<Memory>,
    digests: Arc<Digests>,
    opening: Opening,
    hashing: Option<Hashing>,
}

impl Future for Answering {
    type Output = Result<Response<FileBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let opened = match &mut self.hashing {
            Some(hashing) => ready!(hashing.as_mut().poll(context)),
            None => match ready!(self.opening.poll(context)) {
                Ok(found) if self.options.wants_digest_of(&found, &self.head) => {
                    let digests = Arc::clone(&self.digests);
                    let hashing = self.hashing.insert(Box::pin(digests.of(found)));
                    ready!(hashing.as_mut().poll(context))
                }
                opened => opened.map(|found| (found, None)),
            },
        };
        Poll::Ready(Ok(self.options.answer(&self.head, opened, &self.memory)))
    }
}

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering")
            .field("opening", &self.opening)
            .finish_non_exhaustive()
    }
}

/// Opening the file: at once if all that takes is memory, otherwise where it may wait.
#[derive(Debug)]
enum Opening {
    Ended(Result<Found, Refusal>),
    OnAnotherThread(JoinHandle<Result<Found, Refusal>>),
}

impl Opening {
    fn start(lookup: Lookup, root: &Arc<Root>) -> Self {
        let in_place = lookup.run(|path| root.try_open(path));
        if !matches!(in_place, Err(Miss::Unopened(ErrorKind::WouldBlock))) {
            return Self::Ended(in_place.map_err(Refusal::from));
        }
        let root = Arc::clone(root);
        let waiting = move || lookup.run(|path| root.open(path)).map_err(Refusal::from);
        match Handle::try_current() {
            Ok(runtime) => Self::OnAnotherThread(runtime.spawn_blocking(waiting)),
            Err(_) => Self::Ended(waiting()),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Found, Refusal>> {
        match self {
            Self::Ended(opened) => Poll::Ready(mem::replace(opened, Err(Refusal::Failed))),
            // The thread is gone only if the runtime is.
            Self::OnAnotherThread(task) => Pin::new(task)
                .poll(context)
                .map(|ended| ended.unwrap_or(Err(Refusal::Failed))),
        }
    }
}
