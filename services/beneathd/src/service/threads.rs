//! [`Threads`]: how many things that block may be under way, and how many may wait for that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use beneath_catalog::UserName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::rejection::Rejection;

/// A bounded number of threads that may block, behind a bounded queue.
pub(super) struct Threads {
    running: Arc<Semaphore>,
    /// Running or waiting.
    places: Arc<Semaphore>,
}

/// [`Threads`] of which no user has more than a share.
pub(super) struct SharedThreads {
    all: Threads,
    share: (usize, usize),
    of: Mutex<HashMap<UserName, Weak<Threads>>>,
}

/// One thread of them, for as long as it is kept.
struct Turn {
    _place: OwnedSemaphorePermit,
    _thread: OwnedSemaphorePermit,
}

impl Threads {
    pub(super) fn new(threads: usize, queue: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(threads)),
            places: Arc::new(Semaphore::new(threads + queue)),
        }
    }

    /// Runs `work` on one of them. What has begun goes on when nobody waits for it any more, and keeps its place.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Rejection> {
        let turn = self.turn().await?;
        block(turn, work).await
    }

    async fn turn(&self) -> Result<Turn, Rejection> {
        let busy = Rejection::Busy(Duration::from_secs(1));
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| busy)?;
        let thread = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(|_| Rejection::Unavailable)?;
        Ok(Turn {
            _place: place,
            _thread: thread,
        })
    }
}

impl SharedThreads {
    /// Of `users`, each has their share.
    pub(super) fn new(threads: usize, queue: usize, users: usize) -> Self {
        Self {
            all: Threads::new(threads, queue),
            share: (threads.div_ceil(users), queue / users),
            of: Mutex::default(),
        }
    }

    /// As [`Threads::run`]: in the user's own queue first.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        user: &UserName,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Rejection> {
        let own = self.share_of(user);
        let turns = (own.turn().await?, self.all.turn().await?, own);
        block(turns, work).await
    }

    /// Known only while somebody uses it.
    fn share_of(&self, user: &UserName) -> Arc<Threads> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = of.get(user).and_then(Weak::upgrade) {
            return own;
        }
        of.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Threads::new(self.share.0, self.share.1));
        of.insert(user.clone(), Arc::downgrade(&own));
        own
    }
}

/// `held` is let go of when the work is done.
async fn block<T: Send + 'static>(
    held: impl Send + 'static,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Rejection> {
    let work = move || {
        let _held = held;
        work()
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Rejection::Unavailable)
}

#[cfg(test)]
mod tests {
    use std::sync::RwLock;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use tokio::runtime::{Builder, Runtime};
    use tokio::task::JoinHandle;

    use super::*;

    /// Threads, and work on them that does not end while the gate is closed.
    struct Works {
        threads: Arc<SharedThreads>,
        gate: Arc<RwLock<()>>,
        runtime: Runtime,
    }

    /// What one user wants done.
    struct Wanted {
        begun: Arc<AtomicUsize>,
        answers: Vec<JoinHandle<Result<(), Rejection>>>,
    }

    impl Works {
        fn new(threads: usize, queue: usize, users: usize) -> Self {
            Self {
                threads: Arc::new(SharedThreads::new(threads, queue, users)),
                gate: Arc::default(),
                runtime: Builder::new_multi_thread().worker_threads(1).build().unwrap(),
            }
        }

        fn ask(&self, name: &str, times: usize) -> Wanted {
            let begun = Arc::new(AtomicUsize::new(0));
            let answers = (0..times).map(|_| {
                let user: UserName = name.parse().unwrap();
                let (threads, gate, begun) = (
                    Arc::clone(&self.threads),
                    Arc::clone(&self.gate),
                    Arc::clone(&begun),
                );
                self.runtime.spawn(async move {
                    let work = move || {
                        begun.fetch_add(1, Ordering::Relaxed);
                        drop(gate.read());
                    };
                    threads.run(&user, work).await
                })
            });
            Wanted {
                answers: answers.collect(),
                begun,
            }
        }

        fn answers(&self, wanted: Wanted) -> Vec<Result<(), Rejection>> {
            let answers = wanted.answers.into_iter();
            answers
                .map(|answer| self.runtime.block_on(answer).unwrap())
                .collect()
        }
    }

    impl Wanted {
        fn begun(&self) -> usize {
            self.begun.load(Ordering::Relaxed)
        }

        fn answered(&self) -> usize {
            self.answers.iter().filter(|answer| answer.is_finished()).count()
        }
    }

    #[track_caller]
    fn eventually(what: &str, is_so: impl Fn() -> bool) {
        let since = Instant::now();
        while !is_so() {
            assert!(since.elapsed() < Duration::from_secs(20), "not in time: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Long enough for what must not happen to happen, on a machine that has nothing else to do.
    fn a_while() {
        std::thread::sleep(Duration::from_millis(100));
    }

    #[test]
    fn nobody_has_more_than_their_share_of_the_threads_and_of_the_queue() {
        let works = Works::new(4, 4, 2);
        let closed = works.gate.write().unwrap();
        let ann = works.ask("ann", 7);
        eventually("ann has two threads, two wait, and three are sent away", || {
            (ann.begun(), ann.answered()) == (2, 3)
        });
        let bob = works.ask("bob", 4);
        eventually("bob has the other two", || bob.begun() == 2);
        let cid = works.ask("cid", 1);
        a_while();
        assert_eq!(
            (ann.begun(), bob.begun(), cid.begun()),
            (2, 2, 0),
            "there are four threads"
        );
        assert_eq!((bob.answered(), cid.answered()), (0, 0), "who may wait waits");

        drop(closed);
        let busy = Rejection::Busy(Duration::from_secs(1));
        let mut told = works.answers(ann);
        told.sort_by_key(Result::is_err);
        let expected = [Ok(()), Ok(()), Ok(()), Ok(()), Err(busy), Err(busy), Err(busy)];
        assert_eq!(told, expected);
        assert_eq!(works.answers(bob), [Ok(()); 4]);
        assert_eq!(works.answers(cid), [Ok(())]);
        // Nothing is left of it: the same again.
        assert_eq!(works.answers(works.ask("ann", 1)), [Ok(())]);
    }

    #[test]
    fn what_is_known_of_a_user_is_forgotten_when_they_want_nothing_any_more() {
        let works = Works::new(4, 4, 2);
        for name in ["ann", "bob", "cid"] {
            assert_eq!(works.answers(works.ask(name, 1)), [Ok(())]);
        }
        let of = works.threads.of.lock().unwrap();
        assert!(of.len() <= 1, "{} users are remembered", of.len());
    }

    #[test]
    fn work_that_nobody_waits_for_any_more_is_done_and_keeps_its_thread() {
        let works = Works::new(1, 1, 1);
        let closed = works.gate.write().unwrap();
        let given_up = works.ask("ann", 1);
        eventually("it has begun", || given_up.begun() == 1);
        given_up.answers[0].abort();
        eventually("nobody waits", || given_up.answered() == 1);
        let next = works.ask("bob", 1);
        a_while();
        assert_eq!(next.begun(), 0);
        drop(closed);
        assert_eq!(works.answers(next), [Ok(())]);
    }
}
