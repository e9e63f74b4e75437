//! `GET /l/{link}`: a short-lived link that is good for so many downloads. Its secret is the only credential, so it is
//! never logged and never sent on as a Referer.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use beneath::Source as _;
use beneath_catalog::{Caching, Claim, Lease};
use beneath_serve::{Abort, Peer, RequestBody};
use http::header::{CONTENT_RANGE, RANGE, REFERRER_POLICY, USER_AGENT};
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode};

use super::answer::{Answer, Answering};
use super::download;
use crate::rejection::Rejection;
use crate::service::Service;

pub(super) fn by_secret(service: &Arc<Service>, request: Request<RequestBody>) -> Answering {
    let service = Arc::clone(service);
    let (parts, body) = request.into_parts();
    Answering::later(async move {
        let mut answer = follow(&service, parts, body.peer(), body.abort())
            .await
            .unwrap_or_else(download::refused);
        answer
            .headers_mut()
            .insert(REFERRER_POLICY, const { HeaderValue::from_static("no-referrer") });
        download::count(&service, answer)
    })
}

/// Only what sends content takes a use: not HEAD, not a condition that is not met, not a browser or a chat program that
/// looks ahead.
async fn follow(service: &Service, mut parts: Parts, peer: Peer, abort: Abort) -> Result<Answer, Rejection> {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err(Rejection::MethodNotAllowed);
    }
    if parts.method == Method::GET && looks_ahead(&parts) {
        return Err(Rejection::Unavailable);
    }
    // Several ranges at once are for viewers, not for resuming; a server may send the whole (RFC 9110 §14.2).
    if parts
        .headers
        .get_all(RANGE)
        .iter()
        .any(|range| range.as_bytes().contains(&b','))
    {
        parts.headers.remove(RANGE);
    }
    let address = service.address(peer, &parts.headers);
    let (lease, claim) = open(service, &parts, address).await?;
    let size = lease.file().metadata().len();
    // Held until its use is taken: the body of an empty file lets go of it at once.
    let lease = Arc::new(lease);
    // Uses are counted, so none is given by a cache, whatever the file says.
    let response = download::answer(Arc::clone(&lease), Caching::NoStore, &parts, || abort);
    if parts.method == Method::GET
        && let Some(bytes) = bytes_of(&response, size)?
    {
        service.take_use(claim, bytes).await?;
    }
    Ok(response)
}

/// Which bytes of the file this answer sends.
fn bytes_of(response: &Answer, size: u64) -> Result<Option<Range<u64>>, Rejection> {
    match response.status() {
        StatusCode::OK => Ok(Some(0..size)),
        StatusCode::PARTIAL_CONTENT => {
            let field = response
                .headers()
                .get(CONTENT_RANGE)
                .and_then(|value| value.to_str().ok());
            field
                .and_then(content_range)
                .map(Some)
                .ok_or(Rejection::Unavailable)
        }
        _ => Ok(None),
    }
}

/// `bytes 0-499/1234` (RFC 9110 §14.4).
fn content_range(text: &str) -> Option<Range<u64>> {
    let (first, rest) = text.strip_prefix("bytes ")?.split_once('-')?;
    let (last, _) = rest.split_once('/')?;
    Some(first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?)
}

async fn open(
    service: &Service,
    parts: &Parts,
    address: Option<IpAddr>,
) -> Result<(Lease, Claim), Rejection> {
    let secret = parts.uri.path().strip_prefix("/l/").ok_or(Rejection::NotFound)?;
    let client = client(address, parts.headers.get(USER_AGENT));
    service
        .open_link(secret.as_bytes().to_vec(), client, address)
        .await
}

/// What tells this client from others, so that it may resume what it began: its address (of IPv6, the network: the rest
/// changes by itself) and its program.
fn client(address: Option<IpAddr>, program: Option<&HeaderValue>) -> Vec<u8> {
    let mut client = match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => address.octets().to_vec(),
        Some(IpAddr::V6(address)) => address.octets()[..8].to_vec(),
        None => Vec::new(),
    };
    client.push(b' ');
    client.extend(program.map(HeaderValue::as_bytes).unwrap_or_default());
    client
}

/// A browser that fetches what nobody asked for yet says so, and so do the programs that show a picture of what a message
/// links to; 503 tells them to ask when somebody does.
fn looks_ahead(parts: &Parts) -> bool {
    let says = |field: &str, words: &[&str]| {
        let value = parts
            .headers
            .get(field)
            .map(|value| value.as_bytes().to_ascii_lowercase());
        value.is_some_and(|value| {
            words
                .iter()
                .any(|word| value.windows(word.len()).any(|it| it == word.as_bytes()))
        })
    };
    let begins = |word: &str| {
        let program = parts.headers.get(USER_AGENT).map(HeaderValue::as_bytes);
        let start = program.and_then(|program| program.get(..word.len()));
        start.is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
    };
    PURPOSES.iter().any(|field| says(field, &["prefetch", "preview"]))
        || says("user-agent", &PREVIEWERS)
        || MESSENGERS.into_iter().any(begins)
}

const PURPOSES: [&str; 4] = ["sec-purpose", "purpose", "x-moz", "x-purpose"];

/// Part of the User-Agent of what fetches links out of messages, in lower case: what such programs call themselves in general, so
/// that it is no model of a phone (there are CUBOTs), and those that do not.
const PREVIEWERS: [&str; 26] = [
    "(bot",
    " bot",
    "bot/",
    "crawler",
    "unfurl",
    "bingpreview",
    "cardyb",
    "embedly",
    "facebookexternalhit",
    "google-pagerenderer",
    "iframely",
    "kakaotalk-scrap",
    "linkedinbot",
    "linkpreview",
    "mastodon/",
    "matrix-org",
    "mattermost-bot",
    "microsoftpreview",
    "skypeuripreview",
    "slack-imgproxy",
    "slackbot",
    "synapse/",
    "telegrambot",
    "twitterbot",
    "vkshare",
    "zulipurlpreview",
];

/// How the User-Agent of messengers begins when they look. Further on it is that of the browser in them, which is a person's.
const MESSENGERS: [&str; 2] = ["viber/", "whatsapp/"];
