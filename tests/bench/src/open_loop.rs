//! A constant rate of requests, whether or not the server keeps up: latency is counted from when a request was due, not
//! from when there was room to send it (Tene, "coordinated omission").

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::event::epoll;
use serde::Serialize;

use crate::client::Connection;
use crate::statistics::percentile;

/// How to ask.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "arguments with names")]
pub struct Plan<'a> {
    /// Whom.
    pub server: SocketAddr,
    /// What, byte for byte.
    pub request: &'a str,
    /// Over how many connections.
    pub connections: usize,
    /// Requests per second.
    pub rate: f64,
    /// For how long.
    pub duration: Duration,
}

/// How long answers took, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
#[non_exhaustive]
pub struct Latency {
    /// How many were measured.
    pub requests: u64,
    /// The median.
    pub p50: u64,
    /// 99 of 100 took no longer.
    pub p99: u64,
    /// 999 of 1,000 took no longer.
    pub p999: u64,
    /// The longest.
    pub max: u64,
}

struct Lane {
    stream: TcpStream,
    due: Instant,
    left: usize,
}

struct Generator {
    lanes: Vec<Lane>,
    idle: VecDeque<usize>,
    epoll: std::os::fd::OwnedFd,
    request: Vec<u8>,
    answer: usize,
    micros: Vec<u64>,
}

/// Asks at the planned rate. Every answer must be as long as the first.
pub fn run(plan: &Plan<'_>) -> Result<Latency> {
    // The kernel may otherwise let a timer of 20 µs take 70.
    std::fs::write("/proc/self/timerslack_ns", "1").context("/proc/self/timerslack_ns")?;
    let mut generator = Generator::connect(plan)?;
    generator.drive(plan)?;
    let mut micros = generator.micros;
    micros.sort_unstable();
    ensure!(!micros.is_empty(), "not one answer");
    Ok(Latency {
        requests: micros.len() as u64,
        p50: percentile(&micros, 0.5),
        p99: percentile(&micros, 0.99),
        p999: percentile(&micros, 0.999),
        max: percentile(&micros, 1.0),
    })
}

impl Generator {
    fn connect(plan: &Plan<'_>) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut lanes = Vec::new();
        let mut answer = 0;
        for number in 0..plan.connections {
            let mut connection = Connection::open(plan.server)?;
            let head = connection.begin(plan.request)?;
            connection.skip(head.content_length, &mut vec![0; 64 * 1024])?;
            answer = head.text.len() + usize::try_from(head.content_length)?;
            let stream = connection.into_stream();
            stream.set_nonblocking(true)?;
            epoll::add(
                &epoll,
                &stream,
                epoll::EventData::new_u64(number as u64),
                epoll::EventFlags::IN,
            )?;
            lanes.push(Lane {
                stream,
                due: Instant::now(),
                left: 0,
            });
        }
        let idle = (0..plan.connections).collect();
        let request = plan.request.as_bytes().to_vec();
        Ok(Self {
            lanes,
            idle,
            epoll,
            request,
            answer,
            micros: Vec::new(),
        })
    }

    fn drive(&mut self, plan: &Plan<'_>) -> Result<()> {
        let interval = Duration::from_secs_f64(1.0 / plan.rate);
        let begin = Instant::now();
        let end = begin + plan.duration;
        let mut due = begin;
        let mut buffer = vec![0; 256 * 1024];
        let mut events = Vec::with_capacity(plan.connections);
        loop {
            let now = Instant::now();
            while due <= now && due < end {
                let Some(lane) = self.idle.pop_front() else { break };
                self.send(lane, due)?;
                due += interval;
            }
            let all_idle = self.idle.len() == self.lanes.len();
            if due >= end && all_idle {
                return Ok(());
            }
            ensure!(
                now < end + Duration::from_secs(10),
                "answers are missing ten seconds after the end"
            );
            self.wait(
                if self.idle.is_empty() || due >= end {
                    None
                } else {
                    Some(due)
                },
                &mut events,
            )?;
            for event in events.drain(..) {
                let event: epoll::Event = event;
                self.receive(usize::try_from(event.data.u64())?, &mut buffer)?;
            }
        }
    }

    fn wait(&self, until: Option<Instant>, events: &mut Vec<epoll::Event>) -> Result<()> {
        let longest = Duration::from_millis(100);
        let wait = until.map_or(longest, |due| due.saturating_duration_since(Instant::now()));
        let timeout = wait.min(longest).try_into()?;
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(events),
            Some(&timeout),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn send(&mut self, number: usize, due: Instant) -> Result<()> {
        let lane = self.lanes.get_mut(number).context("a lane")?;
        lane.due = due;
        lane.left = self.answer;
        lane.stream
            .write_all(&self.request)
            .context("a request does not fit an empty socket buffer")
    }

    fn receive(&mut self, number: usize, buffer: &mut [u8]) -> Result<()> {
        let lane = self.lanes.get_mut(number).context("a lane")?;
        let count = match lane.stream.read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            other => other?,
        };
        ensure!(
            count > 0 && count <= lane.left,
            "closed, or more bytes than were promised"
        );
        lane.left -= count;
        if lane.left == 0 {
            self.micros.push(u64::try_from(lane.due.elapsed().as_micros())?);
            self.idle.push_back(number);
        }
        Ok(())
    }
}
