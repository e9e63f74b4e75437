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
