//! [`open`]: for handlers that must not block.

use std::sync::Arc;

use beneath::{Error, ErrorKind, File, RelPath, Root};
use tokio::runtime::Handle;

/// Opens a file from an async handler: in place where the answer is in memory (`RESOLVE_CACHED`), which takes some microseconds, and
/// otherwise on a blocking thread of tokio, so that a slow disk stops nobody else. Outside a tokio runtime it opens in place.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("q3.pdf"), "%PDF")?;
/// use std::sync::Arc;
/// use beneath::{RelPath, Root, ambient_authority};
/// use beneath_http::{FileBody, FileResponse};
/// use http::{Request, Response};
///
/// async fn report<B>(root: Arc<Root>, request: Request<B>) -> Result<Response<FileBody>, beneath::Error> {
///     let file = beneath_http::open(&root, &RelPath::parse("q3.pdf")?).await?;
///     Ok(FileResponse::new(file).named("q3.pdf").respond(&request))
/// }
/// # let root = Arc::new(Root::open_ambient(dir.path(), ambient_authority())?);
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # assert_eq!(runtime.block_on(report(root, Request::new(())))?.status(), 200);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// As [`Root::open`]; [`ErrorKind::WouldBlock`] only while the runtime shuts down.
pub async fn open(root: &Arc<Root>, path: &RelPath) -> Result<File, Error> {
    let blocked = match root.try_open(path) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => error,
        opened => return opened,
    };
    let Ok(runtime) = Handle::try_current() else {
        return root.open(path);
    };
    let (root, path) = (Arc::clone(root), path.clone());
    let opening = runtime.spawn_blocking(move || root.open(&path));
    opening.await.unwrap_or(Err(blocked))
}

#[cfg(test)]
mod tests {
    use beneath::testing::{self, Forced};
    use beneath::{Policy, ambient_authority};

    use futures_util::FutureExt as _;

    use super::*;

    /// Name by name nothing is known to be in memory.
    #[test]
    fn what_cannot_be_opened_without_waiting_is_opened_elsewhere_or_here_where_there_is_no_runtime() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("f"), "content").unwrap();
        let (policy, walk) = (Policy::default(), Forced::Walk);
        let root = testing::open_ambient(directory.path(), policy, walk, ambient_authority()).unwrap();
        let root = Arc::new(root);
        let (there, nowhere) = ("f".parse().unwrap(), "g".parse().unwrap());
        let blocked = root.try_open(&there).unwrap_err();
        assert_eq!(blocked.kind(), ErrorKind::WouldBlock);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (path, opened) in [(&there, Ok(7)), (&nowhere, Err(ErrorKind::NotFound))] {
            let within = runtime.block_on(open(&root, path));
            let without = open(&root, path).now_or_never().unwrap();
            for found in [within, without] {
                let found = found
                    .map(|file| file.metadata().len())
                    .map_err(|error| error.kind());
                assert_eq!(found, opened);
            }
        }
    }
}
