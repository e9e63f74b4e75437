//! `plan` against a slow, obvious model, and the rows of RFC 9110 one by one.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use beneath_http::EntityTag;
use beneath_http::plan::{Plan, Representation, plan};
use beneath_http::range::{ByteRange, Ranges, parse};
use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;

const LEN: u64 = 10;
const MAX: usize = 16;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn ranges(text: &str) -> Ranges {
    parse(&HeaderValue::from_str(text).unwrap(), LEN, MAX)
}

fn one(first: u64, last: u64) -> Ranges {
    Ranges::One(ByteRange::new(first, last, LEN).unwrap())
}

fn several(pairs: &[(u64, u64)]) -> Ranges {
    Ranges::Several(
        pairs
            .iter()
            .map(|&(first, last)| ByteRange::new(first, last, LEN).unwrap())
            .collect(),
    )
}

#[test]
fn each_form_of_a_range_is_what_the_rfc_says() {
    for (text, answer) in [
        ("bytes=0-0", one(0, 0)),
        ("bytes=2-5", one(2, 5)),
        ("BYTES=2-5", one(2, 5)),
        ("bytes=2-99", one(2, 9)),
        ("bytes=2-", one(2, 9)),
        ("bytes=-3", one(7, 9)),
        ("bytes=-10", one(0, 9)),
        ("bytes=-11", one(0, 9)),
        ("bytes=-18446744073709551616", one(0, 9)),
        ("bytes=0-18446744073709551615", one(0, 9)),
        ("bytes=0-18446744073709551616", one(0, 9)),
        ("bytes=00000000000000000000000000002-3", one(2, 3)),
        ("bytes=18446744073709551616-", Ranges::Unsatisfiable),
        ("bytes=10-", Ranges::Unsatisfiable),
        ("bytes=10-12", Ranges::Unsatisfiable),
        ("bytes=-0", Ranges::Unsatisfiable),
        ("bytes=10-,-0", Ranges::Unsatisfiable),
        ("bytes=10-,0-0", one(0, 0)),
        ("bytes=0-0,9-9", several(&[(0, 0), (9, 9)])),
        ("bytes=9-9,0-0", several(&[(9, 9), (0, 0)])),
        ("bytes=5-6, 0-1 ,\t3-3", several(&[(5, 6), (0, 1), (3, 3)])),
        ("bytes=8-9,0-1,2-3", several(&[(8, 9), (0, 3)])),
        ("bytes=0-4,5-9", one(0, 9)),
        ("bytes=0-5,3-7", one(0, 7)),
        ("bytes=,0-1,", one(0, 1)),
        ("bytes=0-,0-,0-", one(0, 9)),
        ("bytes=-1,-2,-3", one(7, 9)),
        ("", Ranges::Ignored),
        ("bytes", Ranges::Ignored),
        ("bytes=", Ranges::Ignored),
        ("bytes=,", Ranges::Ignored),
        ("bytes=, ,", Ranges::Ignored),
        ("bytes=-", Ranges::Ignored),
        ("bytes=--1", Ranges::Ignored),
        ("bytes=5-4", Ranges::Ignored),
        ("bytes=0-1,5-4", Ranges::Ignored),
        ("bytes=a-b", Ranges::Ignored),
        ("bytes=1", Ranges::Ignored),
        ("bytes=1-2-3", Ranges::Ignored),
        ("bytes=+1-2", Ranges::Ignored),
        ("bytes=0x1-2", Ranges::Ignored),
        ("bytes=1 - 2", Ranges::Ignored),
        ("bytes =1-2", Ranges::Ignored),
        ("bytes:1-2", Ranges::Ignored),
        ("lines=1-2", Ranges::Ignored),
        ("x-bytes=1-2", Ranges::Ignored),
        ("seconds=1-2", Ranges::Ignored),
    ] {
        assert_eq!(ranges(text), answer, "{text}");
    }
}

#[test]
fn no_range_of_an_empty_file_is_ever_made() {
    for (text, answer) in [
        ("bytes=0-", Ranges::Unsatisfiable),
        ("bytes=0-0", Ranges::Unsatisfiable),
        ("bytes=-0", Ranges::Unsatisfiable),
        ("bytes=-1", Ranges::Ignored),
        ("bytes=0-0,-1", Ranges::Ignored),
    ] {
        assert_eq!(parse(&HeaderValue::from_static(text), 0, MAX), answer, "{text}");
    }
}

#[test]
fn more_ranges_than_are_served_are_ignored() {
    let field = |count: u64| {
        let list: Vec<String> = (0..count).map(|n| format!("{0}-{0}", n * 2)).collect();
        HeaderValue::try_from(format!("bytes={}", list.join(","))).unwrap()
    };
    assert!(matches!(parse(&field(16), 1000, 16), Ranges::Several(ranges) if ranges.len() == 16));
    assert_eq!(parse(&field(17), 1000, 16), Ranges::Ignored);
    assert_eq!(parse(&field(1), 1000, 0), Ranges::Ignored);
}

#[test]
fn a_range_field_of_100_kilobytes_takes_less_than_5_milliseconds() {
    let spaced = (0..20_000)
        .map(|n| format!("{0}-{0},", n * 2))
        .collect::<String>();
    let nested = (0..10_000).map(|n| format!("{n}-99999,")).collect::<String>();
    // What is not optimised takes some ten times as long; to compare each with each, a thousand times.
    let bound = Duration::from_millis(if cfg!(debug_assertions) { 50 } else { 5 });
    for list in [
        spaced,
        nested,
        "0-,".repeat(33_000),
        ",".repeat(100_000),
        "9".repeat(100_000),
    ] {
        let list = &list[..100_000.min(list.len())];
        let field = HeaderValue::try_from(format!("bytes={list}")).unwrap();
        let fastest = (0..5)
            .map(|_| {
                let start = work();
                std::hint::black_box(parse(&field, 1 << 40, MAX));
                work() - start
            })
            .min()
            .unwrap();
        assert!(fastest < bound, "{fastest:?} for {}…", &list[..20]);
    }
}

/// Processor time of this thread: what others do on the machine does not count.
fn work() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// A Range field as it was meant, and as it is written.
#[derive(Clone, Debug)]
enum Spec {
    From(u64),
    Between(u64, u64),
    Suffix(u64),
}

impl Spec {
    fn text(&self) -> String {
        match self {
            Self::From(first) => format!("{first}-"),
            Self::Between(first, last) => format!("{first}-{last}"),
            Self::Suffix(count) => format!("-{count}"),
        }
    }

    fn contains(&self, position: u64, len: u64) -> bool {
        match *self {
            Self::From(first) => position >= first,
            Self::Between(first, last) => (first..=last).contains(&position),
            Self::Suffix(count) => position + count >= len,
        }
    }
}

fn spec() -> impl Strategy<Value = Spec> {
    let position = || prop_oneof![8 => 0..30_u64, 1 => Just(u64::MAX), 1 => Just(u64::MAX - 1)];
    prop_oneof![
        position().prop_map(Spec::From),
        (0..30_u64, position()).prop_map(|(first, more)| Spec::Between(first, first.saturating_add(more))),
        prop_oneof![8 => 0..30_u64, 1 => Just(u64::MAX - 30)].prop_map(Spec::Suffix),
    ]
}

proptest! {
    /// The model marks each byte that was asked for, one at a time.
    #[test]
    fn the_bytes_served_are_the_bytes_asked_for(len in 1..24_u64, specs in prop::collection::vec(spec(), 1..8)) {
        let text: Vec<String> = specs.iter().map(Spec::text).collect();
        let field = HeaderValue::try_from(format!("bytes={}", text.join(", "))).unwrap();
        let asked: Vec<u64> = (0..len).filter(|&at| specs.iter().any(|spec| spec.contains(at, len))).collect();
        let served = match parse(&field, len, MAX) {
            Ranges::Ignored => panic!("every one of these is the grammar"),
            Ranges::Unsatisfiable => Vec::new(),
            Ranges::One(range) => vec![range],
            Ranges::Several(ranges) => { prop_assert!(ranges.len() > 1); ranges }
        };
        let mut bytes: Vec<u64> = served.iter().flat_map(|range| range.first()..=range.last()).collect();
        prop_assert!(bytes.len() as u64 <= len, "never more than the file");
        bytes.sort_unstable();
        prop_assert_eq!(bytes, asked);
        // None touches another, and they come in the order they were asked for.
        for (n, range) in served.iter().enumerate() {
            for other in &served[n + 1..] {
                prop_assert!(range.last() + 1 < other.first() || other.last() + 1 < range.first());
            }
        }
        let rank = |range: &ByteRange| specs.iter().position(|spec| spec.contains(range.first(), len)
            || (range.first()..=range.last()).any(|at| spec.contains(at, len))).unwrap();
        prop_assert!(served.is_sorted_by_key(rank));
    }

    #[test]
    fn no_bytes_make_it_panic(field in prop::collection::vec(prop_oneof![3 => Just(b'-'), 3 => Just(b','), 6 => b'0'..=b'9', 1 => 0x20..0x7f_u8, 1 => 0x80..=0xff_u8], 0..60), len in any::<u64>(), max in 0..20_usize) {
        let field = [b"bytes=", field.as_slice()].concat();
        if let Ranges::Several(ranges) = parse(&HeaderValue::from_bytes(&field).unwrap(), len, max) {
            let sum: u128 = ranges.iter().map(|range| u128::from(range.len())).sum();
            prop_assert!(sum <= u128::from(len));
            prop_assert!(ranges.len() <= max);
        }
    }
}

/// A tag in a request: the current one or another, weak or not.
#[derive(Clone, Copy, Debug)]
struct Tag {
    weak: bool,
    current: bool,
}

#[derive(Clone, Debug)]
enum Tags {
    Absent,
    Star,
    Lines(Vec<Vec<Tag>>),
    Garbage,
}

#[derive(Clone, Copy, Debug)]
enum Date {
    Absent,
    Before,
    Equal,
    After,
    Garbage,
    Twice,
}

#[derive(Clone, Copy, Debug)]
enum IfRange {
    Absent,
    Tag(Tag),
    Date(Date),
    TagTwice,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Age {
    Unknown,
    Old,
    Young,
}

#[derive(Clone, Debug)]
struct Case {
    method: Method,
    weak: bool,
    age: Age,
    if_match: Tags,
    if_none_match: Tags,
    if_modified_since: Date,
    if_unmodified_since: Date,
    if_range: IfRange,
    range: Option<&'static str>,
}

impl Case {
    fn modified(&self) -> Option<u64> {
        match self.age {
            Age::Unknown => None,
            Age::Old => Some(1_700_000_000),
            Age::Young => Some(1_800_000_000),
        }
    }

    fn current(&self) -> Representation {
        let text: &[u8] = if self.weak { b"W/\"a,b\"" } else { b"\"a,b\"" };
        let modified = self
            .modified()
            .map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        Representation::new(LEN, EntityTag::parse(text).unwrap(), modified, now())
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        self.write_tags(&mut headers, IF_MATCH, &self.if_match);
        self.write_tags(&mut headers, IF_NONE_MATCH, &self.if_none_match);
        self.write_date(&mut headers, IF_MODIFIED_SINCE, self.if_modified_since);
        self.write_date(&mut headers, IF_UNMODIFIED_SINCE, self.if_unmodified_since);
        match self.if_range {
            IfRange::Absent => {}
            IfRange::Tag(tag) => write(&mut headers, IF_RANGE, &tag_text(tag)),
            IfRange::Date(date) => self.write_date(&mut headers, IF_RANGE, date),
            IfRange::TagTwice => {
                write(&mut headers, IF_RANGE, "\"a,b\"");
                write(&mut headers, IF_RANGE, "\"a,b\"");
            }
        }
        if let Some(range) = self.range {
            write(&mut headers, RANGE, range);
        }
        headers
    }

    fn write_tags(&self, headers: &mut HeaderMap, name: HeaderName, tags: &Tags) {
        match tags {
            Tags::Absent => {}
            Tags::Star => write(headers, name, "*"),
            Tags::Garbage => write(headers, name, "a,b"),
            Tags::Lines(lines) => {
                for line in lines {
                    let texts: Vec<String> = line.iter().copied().map(tag_text).collect();
                    write(headers, name.clone(), &texts.join(" , "));
                }
            }
        }
    }

    fn write_date(&self, headers: &mut HeaderMap, name: HeaderName, date: Date) {
        let base = self.modified().unwrap_or(1_700_000_000);
        let text = |seconds| httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
        match date {
            Date::Absent => {}
            Date::Before => write(headers, name, &text(base - 1)),
            Date::Equal => write(headers, name, &text(base)),
            Date::After => write(headers, name, &text(base + 1)),
            Date::Garbage => write(headers, name, "yesterday"),
            Date::Twice => {
                write(headers, name.clone(), &text(base));
                write(headers, name, &text(base));
            }
        }
    }

    /// RFC 9110 §13.2.2 as prose, step by step. Deliberately long-winded.
    fn model(&self) -> &'static str {
        if self.method != Method::GET && self.method != Method::HEAD {
            return "405";
        }
        let known = self.modified().is_some();
        // 1. When recipient is the origin server and If-Match is present
        let if_match = match &self.if_match {
            Tags::Absent => None,
            Tags::Star => Some(true),
            Tags::Garbage => Some(false),
            Tags::Lines(lines) => Some(
                lines
                    .concat()
                    .iter()
                    .any(|tag| tag.current && !tag.weak && !self.weak),
            ),
        };
        if if_match == Some(false) {
            return "412";
        }
        // 2. … If-Match is not present, and If-Unmodified-Since is present
        if if_match.is_none() && known && matches!(self.if_unmodified_since, Date::Before) {
            return "412";
        }
        // 3. When If-None-Match is present
        let if_none_match = match &self.if_none_match {
            Tags::Absent => None,
            Tags::Star => Some(false),
            Tags::Garbage => Some(true),
            Tags::Lines(lines) => Some(!lines.concat().iter().any(|tag| tag.current)),
        };
        if if_none_match == Some(false) {
            return "304";
        }
        // 4. When the method is GET or HEAD, If-None-Match is not present, and If-Modified-Since is present
        if if_none_match.is_none() && known && matches!(self.if_modified_since, Date::Equal | Date::After) {
            return "304";
        }
        // 5. When the method is GET and both Range and If-Range are present
        let Some(range) = self.range else { return "200" };
        if self.method == Method::HEAD {
            return "200";
        }
        let applies = match self.if_range {
            IfRange::Absent => true,
            IfRange::Tag(tag) => tag.current && !tag.weak && !self.weak,
            IfRange::Date(Date::Absent) => true,
            IfRange::Date(Date::Equal) => self.age == Age::Old,
            IfRange::Date(_) | IfRange::TagTwice => false,
        };
        match (applies, range) {
            (true, "bytes=1-2") => "206 1-2",
            (true, "bytes=99-") => "416",
            _ => "200",
        }
    }
}

fn write(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    headers.append(name, HeaderValue::from_str(text).unwrap());
}

fn tag_text(tag: Tag) -> String {
    let weak = if tag.weak { "W/" } else { "" };
    let opaque = if tag.current { "a,b" } else { "a" };
    format!("{weak}\"{opaque}\"")
}

fn tag() -> impl Strategy<Value = Tag> {
    (any::<bool>(), any::<bool>()).prop_map(|(weak, current)| Tag { weak, current })
}

fn tags() -> impl Strategy<Value = Tags> {
    prop_oneof![
        4 => Just(Tags::Absent),
        1 => Just(Tags::Star),
        1 => Just(Tags::Garbage),
        4 => prop::collection::vec(prop::collection::vec(tag(), 0..3), 1..3).prop_map(Tags::Lines),
    ]
}

fn date() -> impl Strategy<Value = Date> {
    prop_oneof![
        3 => Just(Date::Absent),
        1 => Just(Date::Before),
        1 => Just(Date::Equal),
        1 => Just(Date::After),
        1 => Just(Date::Garbage),
        1 => Just(Date::Twice),
    ]
}

fn if_range() -> impl Strategy<Value = IfRange> {
    prop_oneof![
        3 => Just(IfRange::Absent),
        3 => tag().prop_map(IfRange::Tag),
        3 => date().prop_map(IfRange::Date),
        1 => Just(IfRange::TagTwice),
    ]
}

prop_compose! {
    fn case()(
        method in prop_oneof![6 => Just(Method::GET), 2 => Just(Method::HEAD), 1 => Just(Method::POST)],
        weak in any::<bool>(),
        age in prop_oneof![Just(Age::Unknown), Just(Age::Old), Just(Age::Young)],
        if_match in tags(),
        if_none_match in tags(),
        if_modified_since in date(),
        if_unmodified_since in date(),
        if_range in if_range(),
        range in prop_oneof![Just(None), Just(Some("bytes=1-2")), Just(Some("bytes=99-")), Just(Some("pages=1"))],
    ) -> Case {
        Case { method, weak, age, if_match, if_none_match, if_modified_since, if_unmodified_since, if_range, range }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]
    #[test]
    fn the_plan_is_that_of_the_model(case in case()) {
        let planned = match plan(&case.method, &case.headers(), &case.current(), MAX) {
            Plan::Whole => "200".to_owned(),
            Plan::Part(range) => format!("206 {}-{}", range.first(), range.last()),
            Plan::Parts(_) => "206".to_owned(),
            Plan::NotModified => "304".to_owned(),
            Plan::MethodNotAllowed => "405".to_owned(),
            Plan::PreconditionFailed => "412".to_owned(),
            Plan::RangeNotSatisfiable => "416".to_owned(),
        };
        prop_assert_eq!(planned, case.model());
    }
}

fn planned(current: &Representation, fields: &[(HeaderName, &str)]) -> Plan {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        write(&mut headers, name.clone(), value);
    }
    plan(&Method::GET, &headers, current, MAX)
}

#[test]
fn a_date_in_if_range_is_strong_only_when_exact_and_two_seconds_old() {
    let range = (RANGE, "bytes=1-");
    for (age, text, plan_is_part) in [
        (2, "Fri, 15 Jan 2027 07:59:58 GMT", true),
        (1, "Fri, 15 Jan 2027 07:59:59 GMT", false),
        (0, "Fri, 15 Jan 2027 08:00:00 GMT", false),
        (2, "Fri, 15 Jan 2027 07:59:59 GMT", false),
        (2, "Fri, 15 Jan 2027 07:59:57 GMT", false),
        (2, "Friday, 15-Jan-27 07:59:58 GMT", true),
        (2, "Fri, 01 Jan 2038 00:00:00 GMT", false),
        (2, "1800000000", false),
    ] {
        let modified = now() - Duration::from_secs(age);
        let tag = EntityTag::parse(b"\"x\"").unwrap();
        let current = Representation::new(LEN, tag, Some(modified), now());
        let plan = planned(&current, &[range.clone(), (IF_RANGE, text)]);
        assert_eq!(matches!(plan, Plan::Part(_)), plan_is_part, "{age} s old, {text}");
    }
}

#[test]
fn if_range_holds_one_tag_and_nothing_after_it() {
    for (text, plan_is_part) in [
        ("\"x\"", true),
        ("\"x\", \"y\"", false),
        ("\"x\"y", false),
        ("W/\"x\"", false),
    ] {
        let tag = EntityTag::parse(b"\"x\"").unwrap();
        let current = Representation::new(LEN, tag, None, now());
        let plan = planned(&current, &[(RANGE, "bytes=1-"), (IF_RANGE, text)]);
        assert_eq!(matches!(plan, Plan::Part(_)), plan_is_part, "{text}");
    }
}

#[test]
fn a_file_from_before_1970_has_no_date_to_compare() {
    let tag = EntityTag::parse(b"\"x\"").unwrap();
    let current = Representation::new(LEN, tag, Some(UNIX_EPOCH - Duration::from_secs(1)), now());
    for name in [IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE] {
        assert_eq!(
            planned(&current, &[(name, "Thu, 01 Jan 1970 00:00:00 GMT")]),
            Plan::Whole
        );
    }
}

#[test]
fn two_range_lines_are_none() {
    let tag = EntityTag::parse(b"\"x\"").unwrap();
    let current = Representation::new(LEN, tag, None, now());
    let twice = [(RANGE, "bytes=0-1"), (RANGE, "bytes=4-5")];
    assert_eq!(planned(&current, &twice), Plan::Whole);
    assert!(matches!(planned(&current, &twice[..1]), Plan::Part(_)));
}

#[test]
fn what_is_not_a_list_of_tags_matches_nothing() {
    let tag = EntityTag::parse(b"\"x\"").unwrap();
    let current = Representation::new(LEN, tag, None, now());
    for text in [
        "x",
        "'x'",
        "\"x",
        "x\"",
        "w/\"x\"",
        "*, \"y\"",
        "\"y\" \"x\"",
        "\"y\"\"x\"",
        "",
        "W/x",
        "\"X\"",
    ] {
        assert_eq!(planned(&current, &[(IF_NONE_MATCH, text)]), Plan::Whole, "{text}");
        assert_eq!(
            planned(&current, &[(IF_MATCH, text)]),
            Plan::PreconditionFailed,
            "{text}"
        );
    }
    for text in [
        "\"x\"",
        ",, \"x\" ,",
        "\"y\",\"x\"",
        "\"y\"\t,\t\"x\"",
        "W/\"y\", \"x\"",
        " * ",
    ] {
        assert_eq!(
            planned(&current, &[(IF_NONE_MATCH, text)]),
            Plan::NotModified,
            "{text}"
        );
        assert_eq!(planned(&current, &[(IF_MATCH, text)]), Plan::Whole, "{text}");
    }
}
