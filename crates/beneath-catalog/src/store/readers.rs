//! [`Readers`]: the connections that questions are asked over, and how many there may be.

use std::ops::Deref;
use std::sync::{Condvar, Mutex, PoisonError};

use super::sqlite::{StoreError, lock};

/// As many connections as the machine has use for, opened when they are needed. Who finds none free waits for one.
///
/// There is a bound because SQLite keeps the descriptor of a connection that is closed for as long as others lock the file
/// (<https://www.sqlite.org/src/file/src/os_unix.c>, "Posix Advisory Locking"): what a flood of first logins opened, the
/// process would not get back.
pub(crate) struct Readers<C> {
    most: usize,
    pool: Mutex<Pool<C>>,
    /// A connection was put back, or closed.
    returned: Condvar,
}

struct Pool<C> {
    idle: Vec<C>,
    /// Those in use and the idle ones.
    open: usize,
}

/// A connection that is closed when this is dropped, unless it is put back.
pub(crate) struct Reader<'a, C> {
    connection: C,
    place: Place<'a, C>,
}

/// One of those that may be open.
struct Place<'a, C>(&'a Readers<C>);

impl<C> Readers<C> {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            most: (2 * cores).clamp(4, 8),
            pool: Mutex::new(Pool {
                idle: Vec::new(),
                open: 0,
            }),
            returned: Condvar::new(),
        }
    }

    /// One of those that are open, or one more by `connect`. If that fails, perhaps because no descriptor is left, one that
    /// is in use will do.
    pub(crate) fn take(
        &self,
        connect: impl FnOnce() -> Result<C, StoreError>,
    ) -> Result<Reader<'_, C>, StoreError> {
        let mut connect = Some(connect);
        let mut failed = None;
        let mut pool = lock(&self.pool);
        loop {
            if let Some(connection) = pool.idle.pop() {
                let place = Place(self);
                return Ok(Reader { connection, place });
            }
            if pool.open < self.most
                && let Some(connect) = connect.take()
            {
                pool.open += 1;
                drop(pool);
                let place = Place(self);
                match connect() {
                    Ok(connection) => return Ok(Reader { connection, place }),
                    Err(error) => failed = Some(error),
                }
                drop(place);
                pool = lock(&self.pool);
            } else {
                if pool.open == 0
                    && let Some(error) = failed
                {
                    return Err(error);
                }
                pool = self.returned.wait(pool).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl<C> Reader<'_, C> {
    /// For the next who asks.
    pub(crate) fn put_back(self) {
        let Self { connection, place } = self;
        let readers = place.0;
        lock(&readers.pool).idle.push(connection);
        std::mem::forget(place);
        readers.returned.notify_one();
    }
}

impl<C> Deref for Reader<'_, C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.connection
    }
}

impl<C> Drop for Place<'_, C> {
    fn drop(&mut self) {
        lock(&self.0.pool).open -= 1;
        // Whoever could not open one has to know whether there is one to wait for.
        self.0.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn readers(most: usize) -> Readers<()> {
        Readers {
            most,
            ..Readers::new()
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "as one that could fail")]
    fn connect() -> Result<(), StoreError> {
        Ok(())
    }

    fn failing() -> Result<(), StoreError> {
        Err(StoreError::Lost)
    }

    #[test]
    fn no_more_are_opened_than_may_be_and_everybody_gets_one() {
        let (readers, opened, asked) = (readers(3), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let reader = readers.take(|| {
                        opened.fetch_add(1, SeqCst);
                        connect()
                    });
                    thread::sleep(Duration::from_millis(5));
                    asked.fetch_add(1, SeqCst);
                    reader.unwrap().put_back();
                });
            }
        });
        assert!(opened.load(SeqCst) <= 3);
        assert_eq!(asked.load(SeqCst), 16);
    }

    #[test]
    fn who_cannot_open_one_waits_for_one_that_is_in_use() {
        let readers = readers(3);
        let first = readers.take(connect).unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| readers.take(failing).map(Reader::put_back));
            thread::sleep(Duration::from_millis(20));
            first.put_back();
            assert!(second.join().unwrap().is_ok());
        });
    }

    #[test]
    fn who_cannot_open_one_where_there_is_none_is_told_so() {
        let readers = readers(3);
        assert!(readers.take(failing).is_err());
        let first = readers.take(connect).unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| readers.take(failing).map(Reader::put_back));
            thread::sleep(Duration::from_millis(20));
            drop(first);
            assert!(second.join().unwrap().is_err());
        });
    }

    #[test]
    fn one_that_is_not_put_back_makes_room_for_another() {
        let readers = readers(1);
        drop(readers.take(connect).unwrap());
        assert!(readers.take(connect).is_ok());
    }
}
