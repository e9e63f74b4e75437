//! Files for whoever has a link: no other credential, but only so many downloads.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use crate::authentication::token_digest;
use crate::catalog::{ATTEMPTS, Catalog};
use crate::lease::{Decision, Lease, Over};
use crate::pin::Patience;
use crate::refusal::{Reason, Refusal};
use crate::serving::Serving;
use crate::store::decide::Ground;
use crate::store::links::{self, Found, Wanted};
use crate::store::{Millis, Revision, decide};
use crate::trail::{Actor, Denied};

/// To take a use of a link with, for the [`Lease`] that came with it: see [`Catalog::take_use`].
#[derive(Clone)]
pub struct Claim(Arc<Over>);

/// What somebody who has a link asks for. `Debug` does not show the secret.
#[derive(Clone, Copy)]
pub struct LinkRequest<'a> {
    secret: &'a [u8],
    client: &'a [u8],
    address: Option<IpAddr>,
}

impl<'a> LinkRequest<'a> {
    /// For whoever has `secret`. `client` is what tells this client from others, such as its address: it may resume
    /// what it began.
    pub const fn new(secret: &'a [u8], client: &'a [u8]) -> Self {
        Self {
            secret,
            client,
            address: None,
        }
    }

    /// Where the request came from, for the audit trail.
    #[must_use]
    pub fn from_address(mut self, address: impl Into<Option<IpAddr>>) -> Self {
        self.address = address.into();
        self
    }
}

impl std::fmt::Debug for LinkRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkRequest")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Catalog {
    /// As [`open`](Self::open), for whoever has a link instead of a name. This looks, and takes nothing: the lease says
    /// what there is (for HEAD, for a condition that is not met), but is not held until a use of the link was
    /// [taken](Self::take_use) with its [`Claim`].
    ///
    /// # Errors
    ///
    /// [`Refusal`]; a link that is unknown, expired, revoked or used up is "not found".
    pub fn open_link(&self, request: &LinkRequest<'_>) -> Result<(Lease, Claim), Refusal> {
        let serving = self.serving()?;
        let opened = self.decide_and_open_link(serving, request);
        let asked = (Actor::Unknown, request.address, None);
        opened.map_err(|denied| serving.refuse(asked, denied))
    }

    /// Takes a use of the link, so that `bytes` of the file may be sent over the lease that came with `claim`.
    ///
    /// * Whoever asks for **all** of the file takes a use of their own, unless they broke one off: then they begin it
    ///   anew. The use is theirs while bytes are sent, and for the grace after that
    ///   ([`Options::link_grace`](crate::Options::link_grace)); it is given back at once if nothing was sent.
    /// * Whoever asks for a **part** goes on with the use they have, also with one that is completed, within the grace:
    ///   what left here may have been lost on the way. Whoever has none may look at 64 KiB, less than the whole, and
    ///   takes a use with more.
    /// * A use **counts** when every byte was sent once, in whatever pieces. It carries eight times the file at most,
    ///   and once more the file after it was completed.
    ///
    /// # Errors
    ///
    /// [`Refusal`] "not found": no use is left. A claim that was refused is worth nothing afterwards.
    ///
    /// # Security
    ///
    /// Of two downloads that want the last use, one gets it, also if different processes serve them. If a process dies
    /// its transfers count as broken off: when the next one starts, or after a minute. Tell the
    /// lease [what was sent](beneath::Source::sent), or nothing ever counts.
    pub fn take_use(&self, claim: &Claim, bytes: Range<u64>) -> Result<(), Refusal> {
        let serving = self.serving()?;
        let Claim(over) = claim;
        let bytes = bytes.start.min(bytes.end).min(over.size)..bytes.end.min(over.size);
        let mut ended = Vec::new();
        let taken = self.store.write(|writing| {
            ended = serving.trail.take_ended();
            ended.iter().try_for_each(|ended| links::end(writing, ended))?;
            let wanted = Wanted {
                found: &over.found,
                client: &over.client,
                server: serving.feed.server(),
                bytes: &bytes,
                size: over.size,
                grace: self.link_grace,
            };
            Ok(links::begin(writing, &wanted, Millis::now())?)
        });
        let refused = match taken {
            Ok((Some(begun), _)) => {
                // A claim that is used twice, or whose lease is gone.
                return over.began(begun, bytes, serving).map_err(|ended| {
                    serving.trail.add_ended(ended);
                    Refusal::not_found(Reason::LinkUsedUp)
                });
            }
            Ok((None, _)) => Refusal::not_found(Reason::LinkUsedUp),
            Err(error) => {
                serving.trail.put_back_ended(ended);
                Refusal::unavailable(&error)
            }
        };
        over.refused();
        let asked = (
            Actor::Link(over.found.link),
            over.address(),
            Some(over.found.file),
        );
        Err(serving.refuse(asked, refused.into()))
    }

    fn decide_and_open_link(
        &self,
        serving: &Serving,
        request: &LinkRequest<'_>,
    ) -> Result<(Lease, Claim), Denied> {
        let secret = token_digest(request.secret);
        let client = token_digest(request.client);
        for _ in 0..ATTEMPTS {
            let (found, decision, revision) = self.decide_link(serving, &secret, &client)?;
            let file = self
                .open_file(&decision, Patience::MayRead)
                .map_err(|refusal| found.denied(refusal))?;
            if let Ok(lease) = Lease::new(file, decision, revision, request.address, serving) {
                let (lease, over) = lease.over(found, client, self.link_grace);
                return Ok((lease, Claim(over)));
            }
        }
        Err(Refusal::busy(Reason::Overtaken).into())
    }

    fn decide_link(
        &self,
        serving: &Serving,
        secret: &[u8; 32],
        client: &[u8; 32],
    ) -> Result<(Found, Decision, Revision), Denied> {
        const REFUSED: Refusal = Refusal::not_found(Reason::UnknownLink);
        self.store.read(|snapshot| {
            let now = Millis::now();
            let revision = crate::store::revision(snapshot)?;
            let found = links::find(snapshot, secret)?.ok_or(REFUSED)?;
            let sealed = decide::entry(snapshot, &found.file)?.ok_or(REFUSED)?;
            let permit = decide::link_allows(
                snapshot,
                (found.link, found.creator),
                sealed.subject_of_decision(),
                now,
            )?
            .map_err(|refusal| found.denied(refusal))?;
            links::look(snapshot, &found, client, now).map_err(|refusal| found.denied(refusal))?;
            let deadline = serving.feed.deadline(permit.until(), now);
            let entry = sealed.unseal(&permit);
            let decision = Decision::new(found.ground(), None, entry, &permit, deadline);
            Ok((found, decision, revision))
        })
    }
}

impl Found {
    const fn ground(&self) -> Ground {
        Ground::Link {
            link: self.link,
            creator: self.creator,
        }
    }

    const fn denied(&self, refusal: Refusal) -> Denied {
        Denied::to(Actor::Link(self.link), self.file, refusal)
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").finish_non_exhaustive()
    }
}
