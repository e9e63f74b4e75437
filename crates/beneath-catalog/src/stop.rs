//! [`Stop`]: ends a thread that does the same again and again, also while it pauses.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::store::lock;

#[derive(Default)]
pub(crate) struct Stop {
    asked: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub(crate) fn ask(&self) {
        *lock(&self.asked) = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_asked(&self) -> bool {
        *lock(&self.asked)
    }

    /// Takes a turn, then pauses as long as that said, until asked to stop.
    pub(crate) fn repeat(&self, mut turn: impl FnMut() -> Duration) {
        while !self.is_asked() {
            let pause = turn();
            let going = lock(&self.asked);
            let _ = self.changed.wait_timeout_while(going, pause, |asked| !*asked);
        }
    }
}
