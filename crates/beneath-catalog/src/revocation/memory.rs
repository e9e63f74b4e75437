//! [`Memory`]: decisions that were made, to be used again while nothing they rest on has changed.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::Touched;
use crate::credential::verified::LoginDigest;
use crate::entry::{Entry, EntrySeq};
use crate::file_id::FileId;
use crate::lease::Decision;
use crate::store::Millis;
use crate::store::decide::Ground;
use crate::subject::{TokenId, UserId, UserName};

/// Who somebody is by what they show, what is published, and who may have it. Bounded.
///
/// What is known of a user or a file has a stamp of its own, and a permit is found by the stamps of both. So to forget a
/// user or a file is to forget one thing, however many permits rest on it: nobody has their stamps any more.
///
/// Of two shelves the young one is filled; when it is full it becomes the old one, and what the old one held is forgotten.
pub(crate) struct Memory {
    stamps: u64,
    room: usize,
    young: Shelf,
    old: Shelf,
}

/// Everything on a shelf is found by what is on the same shelf.
#[derive(Default)]
pub(crate) struct Shelf {
    users: Map<UserId, Stamp>,
    logins: Map<LoginDigest, Known>,
    tokens: Map<TokenId, LoginDigest>,
    files: Map<FileId, KnownFile>,
    ids: Map<EntrySeq, FileId>,
    permits: Map<Grounds, Until>,
}

type Map<K, V> = HashMap<K, V, RandomState>;

/// Never given twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Stamp(u64);

/// Somebody who was shown to be who they are.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) user: UserId,
    pub(crate) epoch: i64,
    pub(crate) token: Option<TokenId>,
    pub(crate) name: UserName,
    /// When the token expires.
    pub(crate) until: Option<Millis>,
}

/// As long as nobody changed the user, who then has another stamp.
struct Known {
    user: Stamp,
    login: Login,
}

struct KnownFile {
    stamp: Stamp,
    entry: Arc<Entry>,
}

/// What a permit rests on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Grounds {
    user: Stamp,
    token: Option<TokenId>,
    file: Stamp,
}

/// By both clocks.
#[derive(Clone, Copy)]
struct Until {
    until: Option<Millis>,
    deadline: u64,
}

impl Memory {
    /// With room for so many decisions.
    pub(crate) fn new(room: usize) -> Self {
        Self {
            stamps: 0,
            room,
            young: Shelf::default(),
            old: Shelf::default(),
        }
    }

    /// Who shows this, unless their token has expired.
    pub(crate) fn login(&self, digest: &LoginDigest, now: impl FnOnce() -> Millis) -> Option<&Login> {
        let Known { user, login } = self.find(|shelf| shelf.logins.get(digest))?;
        let unchanged = self.user(login.user) == Some(*user);
        let alive = login.until.is_none_or(|until| until > now());
        (unchanged && alive).then_some(login)
    }

    pub(crate) fn decision(&self, login: &Login, id: &FileId) -> Option<Decision> {
        let file = self.find(|shelf| shelf.files.get(id))?;
        let grounds = Grounds {
            user: self.user(login.user)?,
            token: login.token,
            file: file.stamp,
        };
        let until = self.find(|shelf| shelf.permits.get(&grounds))?;
        Some(Decision {
            ground: login.ground(),
            user: Some(login.name.clone()),
            entry: Arc::clone(&file.entry),
            until: until.until,
            deadline: until.deadline,
        })
    }

    /// What had to go for it is the caller's to drop, without a lock.
    pub(crate) fn add_login(&mut self, digest: LoginDigest, login: Login) -> Option<Shelf> {
        let forgotten = self.make_room();
        let user = self.keep_user(login.user);
        if let Some(token) = login.token {
            self.young.tokens.insert(token, digest);
        }
        self.young.logins.insert(digest, Known { user, login });
        forgotten
    }

    /// As [`add_login`](Self::add_login). What a link allows is asked of the store each time.
    pub(crate) fn add_decision(&mut self, decision: &Decision) -> Option<Shelf> {
        let Ground::User { user, token, .. } = decision.ground else {
            return None;
        };
        let forgotten = self.make_room();
        let grounds = Grounds {
            user: self.keep_user(user),
            token,
            file: self.keep_file(&decision.entry),
        };
        let until = Until {
            until: decision.until,
            deadline: decision.deadline,
        };
        self.young.permits.insert(grounds, until);
        forgotten
    }

    pub(crate) fn forget(&mut self, touched: &Touched) -> [Shelf; 2] {
        if touched.everything {
            return [std::mem::take(&mut self.young), std::mem::take(&mut self.old)];
        }
        for shelf in [&mut self.young, &mut self.old] {
            for user in &touched.users {
                shelf.users.remove(&UserId(*user));
            }
            for entry in &touched.entries {
                if let Some(id) = shelf.ids.remove(&EntrySeq(*entry)) {
                    shelf.files.remove(&id);
                }
            }
            for token in &touched.tokens {
                if let Some(digest) = shelf.tokens.remove(&TokenId(*token)) {
                    shelf.logins.remove(&digest);
                }
            }
        }
        Default::default()
    }

    fn user(&self, user: UserId) -> Option<Stamp> {
        self.find(|shelf| shelf.users.get(&user)).copied()
    }

    fn find<'a, T>(&'a self, on: impl Fn(&'a Shelf) -> Option<T>) -> Option<T> {
        on(&self.young).or_else(|| on(&self.old))
    }

    fn keep_user(&mut self, user: UserId) -> Stamp {
        let stamp = self.user(user).unwrap_or_else(|| self.stamp());
        *self.young.users.entry(user).or_insert(stamp)
    }

    fn keep_file(&mut self, entry: &Arc<Entry>) -> Stamp {
        let known = self.find(|shelf| shelf.files.get(&entry.id));
        let (stamp, entry) = match known {
            Some(known) => (known.stamp, Arc::clone(&known.entry)),
            None => (self.stamp(), Arc::clone(entry)),
        };
        self.young.ids.insert(entry.seq, entry.id);
        self.young.files.insert(entry.id, KnownFile { stamp, entry });
        stamp
    }

    const fn stamp(&mut self) -> Stamp {
        self.stamps += 1;
        Stamp(self.stamps)
    }

    fn make_room(&mut self) -> Option<Shelf> {
        if self.young.len() < self.room / 2 {
            return None;
        }
        let full = std::mem::take(&mut self.young);
        Some(std::mem::replace(&mut self.old, full))
    }
}

impl Shelf {
    fn len(&self) -> usize {
        let users = self.users.len().max(self.logins.len());
        users.max(self.files.len()).max(self.permits.len())
    }
}

impl Login {
    /// Whom the store is asked about.
    pub(crate) const fn who(&self) -> (UserId, i64, Option<TokenId>) {
        (self.user, self.epoch, self.token)
    }

    pub(crate) const fn ground(&self) -> Ground {
        Ground::User {
            user: self.user,
            epoch: self.epoch,
            token: self.token,
        }
    }
}

/// Where there is none, every other one is forgotten.
pub(crate) fn make_room<K: Hash + Eq, V>(map: &mut HashMap<K, V>) {
    if map.len() >= MAX_REMEMBERED {
        let mut keep = false;
        map.retain(|_, _| {
            keep = !keep;
            keep
        });
    }
}

const MAX_REMEMBERED: usize = 1 << 15;

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: LoginDigest = LoginDigest::of_token([0; 32]);

    fn login(user: i64) -> Login {
        Login {
            user: UserId(user),
            epoch: 1,
            token: Some(TokenId(user)),
            name: "ann".parse().unwrap(),
            until: Some(Millis(1000)),
        }
    }

    /// With one login, and so many more after it.
    fn memory(more: u8) -> Memory {
        let mut memory = Memory::new(8);
        drop(memory.add_login(DIGEST, login(0)));
        for other in 1..=more {
            drop(memory.add_login(LoginDigest::of_token([other; 32]), login(other.into())));
        }
        memory
    }

    #[test]
    fn a_login_is_known_until_its_token_expires() {
        let memory = memory(0);
        assert!(memory.login(&DIGEST, || Millis(999)).is_some());
        assert!(memory.login(&DIGEST, || Millis(1000)).is_none());
    }

    #[test]
    fn what_is_forgotten_is_forgotten_on_either_shelf() {
        let knows = |memory: &Memory| memory.login(&DIGEST, || Millis(0)).is_some();
        for more in [0, 5] {
            let mut user = Touched::default();
            user.users.extend([0]);
            let mut token = Touched::default();
            token.tokens.extend([0]);
            let everything = Touched {
                everything: true,
                ..Touched::default()
            };
            for touched in [user, token, everything] {
                let mut memory = memory(more);
                assert!(knows(&memory), "after {more} more");
                drop(memory.forget(&touched));
                assert!(!knows(&memory), "after {more} more");
            }
        }
    }
}
