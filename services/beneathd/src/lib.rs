//! The thin download service: `GET /f/{id}` → credentials → lease → bytes.
//!
//! A library so that the tests and fuzz targets reach its parsers; the program is `main.rs`. It holds no rule of its
//! own: who may open what is the catalog's, how a file becomes an answer is `beneath-http`'s, how long a connection may
//! idle is `beneath-serve`'s.

#![forbid(unsafe_code)]

pub mod auth;
pub mod cli;

mod config;
mod notation;
mod process;
mod rejection;
mod routes;
mod service;
mod telemetry;
