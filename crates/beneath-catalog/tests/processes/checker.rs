//! Is there an order of these operations, each at one moment between its invocation and its return, in which every answer
//! is right? (Herlihy and Wing, 1990; the search is Wing and Gong's, with Lowe's memory of states seen.)

use std::collections::HashSet;
use std::time::{Duration, Instant};

/// One operation on the right to one file, as seen from outside.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    pub invoked: Instant,
    pub returned: Instant,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Give,
    Take,
    /// An attempt to open, and whether it succeeded.
    Open(bool),
}

/// That a lease was still held.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// When the open that gave it returned.
    pub opened: Instant,
    /// When the question was asked that was answered "yes".
    pub asked: Instant,
}

#[derive(Debug)]
pub struct History {
    /// Whether the right was there before.
    pub given: bool,
    /// Of each thread, in its order.
    pub threads: Vec<Vec<Operation>>,
    pub held: Vec<Held>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Violation {
    /// No order explains the answers.
    NotLinearizable,
    /// A lease was held this long after the right was lost.
    Outlived(Duration),
}

impl History {
    /// Of a right that is given, until something happens.
    pub const fn new() -> Self {
        Self {
            given: true,
            threads: Vec::new(),
            held: Vec::new(),
        }
    }

    /// `bound`: for how long a lease under way may outlive the return of the change that took its right.
    pub fn check(&self, bound: Duration) -> Result<(), Violation> {
        if !self.is_linearizable() {
            return Err(Violation::NotLinearizable);
        }
        let outlived = self.held.iter().filter_map(|held| self.outlived(held)).max();
        match outlived {
            Some(time) if time > bound => Err(Violation::Outlived(time)),
            _ => Ok(()),
        }
    }

    /// A state is how far each thread has come, and whether the right is given then.
    fn is_linearizable(&self) -> bool {
        let start = (vec![0; self.threads.len()], self.given);
        let mut seen = HashSet::from([start.clone()]);
        let mut states = vec![start];
        while let Some((come, given)) = states.pop() {
            let next = |thread: usize| self.threads[thread].get(come[thread]);
            // Whatever comes next was invoked before any of the others returned.
            let Some(first_return) = (0..come.len()).filter_map(next).map(|op| op.returned).min() else {
                return true;
            };
            for thread in 0..come.len() {
                let after = match next(thread) {
                    Some(op) if op.invoked <= first_return => op.what.apply(given),
                    _ => None,
                };
                if let Some(given) = after {
                    let mut come = come.clone();
                    come[thread] += 1;
                    if seen.insert((come.clone(), given)) {
                        states.push((come, given));
                    }
                }
            }
        }
        false
    }

    fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.threads.iter().flatten()
    }

    /// How long after a change that took its right had returned; nothing if a later change may have given it.
    fn outlived(&self, held: &Held) -> Option<Duration> {
        let gives = |since: Instant| {
            let given =
                |op: &&Operation| op.what == What::Give && op.returned > since && op.invoked < held.opened;
            self.operations().any(|op| given(&op))
        };
        self.operations()
            .filter(|op| op.what == What::Take && !gives(op.invoked))
            .filter_map(|take| held.asked.checked_duration_since(take.returned))
            .filter(|late| !late.is_zero())
            .max()
    }
}

impl What {
    /// What the right is afterwards, if this can happen while it is `given`.
    fn apply(self, given: bool) -> Option<bool> {
        match self {
            Self::Give => Some(true),
            Self::Take => Some(false),
            Self::Open(opened) => (opened == given).then_some(given),
        }
    }
}

/// The checker's own test.
pub fn accepts_and_rejects() {
    use What::{Give, Open, Take};
    let base = Instant::now();
    let at = |millisecond: u64| base + Duration::from_millis(millisecond);
    let history = |given, operations: &[(What, u64, u64)]| History {
        given,
        // Each its own thread: only their times order them.
        threads: operations
            .iter()
            .map(|&(what, invoked, returned)| {
                vec![Operation {
                    what,
                    invoked: at(invoked),
                    returned: at(returned),
                }]
            })
            .collect(),
        held: Vec::new(),
    };
    let right: [&[(What, u64, u64)]; 5] = [
        &[(Open(true), 0, 1), (Take, 2, 3), (Open(false), 4, 5)],
        &[(Take, 0, 9), (Open(true), 1, 2), (Open(false), 3, 4)],
        &[
            (Take, 0, 9),
            (Open(false), 1, 2),
            (Give, 3, 8),
            (Open(true), 4, 5),
        ],
        &[(Take, 0, 5), (Open(true), 4, 9)],
        &[(Take, 0, 5), (Open(true), 1, 9), (Open(false), 2, 3)],
    ];
    for operations in right {
        assert_eq!(
            history(true, operations).check(Duration::ZERO),
            Ok(()),
            "{operations:?}"
        );
    }
    let wrong: [&[(What, u64, u64)]; 5] = [
        &[(Take, 0, 1), (Open(true), 2, 3)],
        &[(Open(false), 0, 1), (Take, 2, 3)],
        &[(Take, 0, 9), (Open(false), 1, 2), (Open(true), 3, 4)],
        &[(Take, 0, 1), (Give, 2, 3), (Open(false), 4, 5)],
        &[
            (Take, 0, 1),
            (Give, 2, 9),
            (Open(true), 3, 4),
            (Open(false), 5, 6),
        ],
    ];
    for operations in wrong {
        let verdict = history(true, operations).check(Duration::ZERO);
        assert_eq!(verdict, Err(Violation::NotLinearizable), "{operations:?}");
    }
    let mut late = history(true, &[(Open(true), 0, 1), (Take, 2, 3)]);
    late.held.push(Held {
        opened: at(1),
        asked: at(10),
    });
    assert_eq!(late.check(Duration::from_millis(7)), Ok(()));
    let outlived = Duration::from_millis(7);
    assert_eq!(
        late.check(Duration::from_millis(6)),
        Err(Violation::Outlived(outlived))
    );
}
