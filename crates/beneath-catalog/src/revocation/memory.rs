//! [`Memory`]: decisions that were made, to be used again while nothing they rest on has changed.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use super::Touched;
use crate::file_id::FileId;
use crate::lease::Decision;
use crate::store::Millis;
use crate::store::decide::Ground;
use crate::subject::{UserId, UserName};

/// Who somebody is by what they show, and what they may. Bounded.
#[derive(Default)]
pub(crate) struct Memory {
    users: HashMap<Box<str>, Arc<KnownUser>>,
    tokens: HashMap<[u8; 32], KnownToken>,
    decisions: HashMap<(Ground, FileId), Arc<Decision>>,
}

/// A user whose password was verified against `record`.
pub(crate) struct KnownUser {
    pub(crate) id: UserId,
    pub(crate) ground: Ground,
    pub(crate) name: UserName,
    pub(crate) record: Arc<str>,
}

#[derive(Clone, Copy)]
pub(crate) struct KnownToken {
    pub(crate) ground: Ground,
    pub(crate) expires: Millis,
}

impl Memory {
    pub(crate) fn user(&self, name: &str) -> Option<&Arc<KnownUser>> {
        self.users.get(name)
    }

    pub(crate) fn token(&self, digest: &[u8; 32]) -> Option<KnownToken> {
        self.tokens.get(digest).copied()
    }

    pub(crate) fn decision(&self, ground: Ground, id: FileId) -> Option<&Arc<Decision>> {
        self.decisions.get(&(ground, id))
    }

    pub(crate) fn add_user(&mut self, user: Arc<KnownUser>) {
        make_room(&mut self.users);
        self.users.insert(user.name.as_str().into(), user);
    }

    pub(crate) fn add_token(&mut self, digest: [u8; 32], token: KnownToken) {
        make_room(&mut self.tokens);
        self.tokens.insert(digest, token);
    }

    pub(crate) fn add_decision(&mut self, decision: Arc<Decision>) {
        make_room(&mut self.decisions);
        self.decisions
            .insert((decision.ground, *decision.entry.id()), decision);
    }

    pub(crate) fn forget(&mut self, touched: &Touched) {
        self.users.retain(|_, user| !touched.ground(&user.ground));
        self.tokens.retain(|_, token| !touched.ground(&token.ground));
        self.decisions
            .retain(|(ground, _), decision| !touched.ground(ground) && !touched.entry(decision.entry.seq));
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

/// Of each kind; decisions of some 500 bytes each.
const MAX_REMEMBERED: usize = 1 << 15;
