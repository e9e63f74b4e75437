//! The complete HTTP answer from an open file.

pub mod plan;
pub mod range;

mod body;
mod conditional;
mod digest;
mod disposition;
mod etag;
mod media_type;
mod multipart;
mod request;
mod response;
#[cfg(feature = "serve-root")]
mod serve_root;

pub use body::{BodyError, BodyErrorKind, FileBody};
pub use disposition::Disposition;
pub use etag::EntityTag;
pub use media_type::{InvalidMediaType, MediaType};
pub use request::RequestHead;
pub use response::{BareRanges, FileResponse};
#[cfg(feature = "serve-root")]
pub use serve_root::{Coding, ServeRoot};
