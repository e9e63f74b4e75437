//! Asks for random ranges, and knows what is wrong with an answer.

use std::collections::HashMap;

use crate::ALICE;
use crate::clients::{Answer, Client};
use crate::versions::{Versions, mix};

/// One client's memory: of each file, what it last knew.
#[derive(Debug)]
pub(crate) struct Visitor {
    random: u64,
    known: HashMap<String, Known>,
    /// How often which kind of answer came.
    pub(crate) seen: HashMap<String, u64>,
}

#[derive(Clone, Debug)]
struct Known {
    length: u64,
    tag: String,
}

/// What is asked for: first and last byte as RFC 9110 §14.1.1 writes them.
#[derive(Clone, Copy, Debug)]
enum Spec {
    FromTo(u64, u64),
    From(u64),
    Last(u64),
}

impl Spec {
    fn text(self) -> String {
        match self {
            Self::FromTo(first, last) => format!("{first}-{last}"),
            Self::From(first) => format!("{first}-"),
            Self::Last(count) => format!("-{count}"),
        }
    }

    /// The first byte and how many, of a file of this length; none if there are none.
    fn within(self, length: u64) -> Option<(u64, u64)> {
        let (first, end) = match self {
            Self::FromTo(first, last) => (first, length.min(last + 1)),
            Self::From(first) => (first, length),
            Self::Last(count) => (length.saturating_sub(count), length),
        };
        (first < end).then(|| (first, end - first))
    }
}

impl Visitor {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: mix(seed),
            known: HashMap::new(),
            seen: HashMap::new(),
        }
    }

    /// A request, and what is wrong with its answer.
    pub(crate) fn visit(&mut self, client: &mut dyn Client, file: &Versions) -> Result<(), String> {
        let known = self.known.get(&file.path).cloned();
        let length = known.as_ref().map_or(file.length_of(0), |known| known.length);
        let specs = self.specs(length);
        let range = specs
            .iter()
            .map(|spec| spec.text())
            .collect::<Vec<_>>()
            .join(", ");
        let range = format!("bytes={range}");
        let condition = known
            .as_ref()
            .filter(|_| self.below(3) == 0)
            .map(|known| known.tag.clone());
        let mut fields = vec![("authorization", ALICE), ("range", range.as_str())];
        if let Some(tag) = &condition {
            fields.push(("if-range", tag));
        }
        let oldest = file.oldest();
        let answer = client.ask(&file.path, &fields)?;
        let found = judge(file, oldest, &specs, condition.as_deref(), &answer);
        let (kind, version) = found.map_err(|wrong| {
            let Answer { status, fields, body } = &answer;
            format!(
                "{}: {range}, if {condition:?}: {wrong}: {status} {fields:?}, {} bytes",
                file.path,
                body.len()
            )
        })?;
        *self.seen.entry(kind.to_owned()).or_default() += 1;
        if let (Some(version), Some(tag)) = (version, answer.field("etag")) {
            if !tag.starts_with("W/")
                && let Some(other) = file.note(tag, version)
            {
                return Err(format!(
                    "{}: {tag} is of version {other} and of {version}",
                    file.path
                ));
            }
            let (length, tag) = (file.length_of(version), tag.to_owned());
            self.known.insert(file.path.clone(), Known { length, tag });
        }
        Ok(())
    }

    /// Mostly one range, mostly a small one, mostly one that is there.
    fn specs(&mut self, length: u64) -> Vec<Spec> {
        let count = if self.below(10) == 0 { 2 + self.below(3) } else { 1 };
        (0..count)
            .map(|_| {
                // As many of some ten bytes as of some ten thousand.
                let bits = 64 - length.leading_zeros();
                let bits = 1 + self.below(u64::from(bits));
                let size = 1 + self.below(1 << bits);
                let first = self.below(length + length / 50 + 1);
                match self.below(8) {
                    0 => Spec::Last(size),
                    1 => Spec::From(length.saturating_sub(size)),
                    _ => Spec::FromTo(first, first + size - 1),
                }
            })
            .collect()
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.random = mix(self.random);
        self.random % bound
    }
}

/// What kind of answer it is and of which version; or what is wrong.
fn judge<'a>(
    file: &Versions,
    oldest: u64,
    specs: &[Spec],
    condition: Option<&str>,
    answer: &'a Answer,
) -> Result<(&'a str, Option<u64>), String> {
    let tag = answer.field("etag").unwrap_or_default();
    match (answer.status, answer.field("content-type").unwrap_or_default()) {
        (200, _) => {
            let total = answer.body.len() as u64;
            let version = file.recognise(oldest, total, &[(0, &answer.body)]);
            Ok((
                "200",
                Some(version.ok_or("bytes of no version, or of more than one")?),
            ))
        }
        (206, media_type) => {
            if condition.is_some_and(|wanted| wanted != tag || tag.starts_with("W/")) {
                return Err("a part of another version than the condition names".to_owned());
            }
            let parts = match media_type.strip_prefix("multipart/byteranges; boundary=") {
                Some(boundary) => parts(&answer.body, boundary)?,
                None => {
                    let range = answer.field("content-range").ok_or("no Content-Range")?;
                    vec![(placed(range)?, answer.body.as_slice())]
                }
            };
            let total = parts.first().ok_or("no parts")?.0.1;
            let placed: Vec<(u64, &[u8])> =
                parts.iter().map(|((start, _), bytes)| (*start, *bytes)).collect();
            if parts.iter().any(|((_, length), _)| *length != total) {
                return Err("parts of two lengths".to_owned());
            }
            let version = file.recognise(oldest, total, &placed);
            let version = version.ok_or("bytes of no version, or of more than one")?;
            // Every byte that was asked for, and is there, has come.
            for (first, len) in specs.iter().filter_map(|spec| spec.within(total)) {
                let covered = placed
                    .iter()
                    .any(|(start, bytes)| *start <= first && first + len <= start + bytes.len() as u64);
                if !covered {
                    return Err(format!("{len} bytes from {first} are missing"));
                }
            }
            Ok((
                if placed.len() > 1 {
                    "206 of several parts"
                } else {
                    "206"
                },
                Some(version),
            ))
        }
        (416, _) => {
            let range = answer.field("content-range").ok_or("no Content-Range")?;
            let total = range
                .strip_prefix("bytes */")
                .and_then(|total| total.parse().ok());
            let total = total.ok_or("no length in it")?;
            let right =
                file.has_length(oldest, total) && specs.iter().all(|spec| spec.within(total).is_none());
            right
                .then_some(("416", None))
                .ok_or_else(|| "something of it is there".to_owned())
        }
        _ => Err("unexpected".to_owned()),
    }
}

/// `bytes 3-9/20`: the first byte, and the length of the whole.
fn placed(range: &str) -> Result<(u64, u64), String> {
    let parse = || {
        let (range, total) = range.strip_prefix("bytes ")?.split_once('/')?;
        let (first, _) = range.split_once('-')?;
        Some((first.parse().ok()?, total.parse().ok()?))
    };
    parse().ok_or_else(|| format!("{range:?}"))
}

type Part<'a> = ((u64, u64), &'a [u8]);

/// The parts of a multipart/byteranges body (RFC 9110 §14.6); where each ends is what its `Content-Range` says.
fn parts<'a>(mut body: &'a [u8], boundary: &str) -> Result<Vec<Part<'a>>, String> {
    let mut parts = Vec::new();
    let delimiter = format!("--{boundary}");
    loop {
        body = body.strip_prefix(b"\r\n").unwrap_or(body);
        body = body.strip_prefix(delimiter.as_bytes()).ok_or("no boundary")?;
        if body == b"--\r\n" || body == b"--" {
            return Ok(parts);
        }
        let end = body
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .ok_or("no end of a part's head")?;
        let head = String::from_utf8_lossy(&body[..end]).to_lowercase();
        let range = head
            .lines()
            .find_map(|line| line.strip_prefix("content-range: "))
            .ok_or("no Content-Range")?;
        let place = placed(range)?;
        let last = range
            .split(['-', '/'])
            .nth(1)
            .and_then(|last| last.parse::<u64>().ok())
            .ok_or("no last byte")?;
        let len = usize::try_from(last + 1 - place.0).unwrap();
        let rest = &body[end + 4..];
        parts.push((place, rest.get(..len).ok_or("a part that ends early")?));
        body = &rest[len..];
    }
}
