//! [`RequestHead`]: what of a request decides the answer.

use http::{HeaderMap, Method, Request, Version, request};

/// The head of a request: [`http::Request`] of any body, or [`http::request::Parts`]. Sealed.
pub trait RequestHead: sealed::Sealed {
    /// The method.
    fn method(&self) -> &Method;
    /// The header fields.
    fn headers(&self) -> &HeaderMap;
    /// The version of HTTP it came by.
    fn version(&self) -> Version;
}

impl<B> RequestHead for Request<B> {
    fn method(&self) -> &Method {
        self.method()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn version(&self) -> Version {
        self.version()
    }
}

impl RequestHead for request::Parts {
    fn method(&self) -> &Method {
        &self.method
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn version(&self) -> Version {
        self.version
    }
}

mod sealed {
    pub trait Sealed {}
    impl<B> Sealed for http::Request<B> {}
    impl Sealed for http::request::Parts {}
}
