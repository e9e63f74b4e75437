//! Files for whoever has a link: no other credential, but only so many downloads.

use std::net::IpAddr;
use std::time::Duration;

use beneath::Root;

use crate::authentication::token_digest;
use crate::catalog::{ATTEMPTS, Catalog};
use crate::lease::{Decision, Lease};
use crate::pin::Patience;
use crate::refusal::{Reason, Refusal};
use crate::serving::Serving;
use crate::store::links::{self, Found};
use crate::store::{Millis, Revision, decide};
use crate::trail::Actor;

/// What somebody who has a link asks for. `Debug` does not show the secret.
#[derive(Clone, Copy)]
pub struct LinkRequest<'a> {
    secret: &'a [u8],
    client: &'a [u8],
    wants: LinkUse,
    address: Option<IpAddr>,
}

/// Whether a request takes one of the uses of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third case")]
pub enum LinkUse {
    /// HEAD, a conditional request that was not met, the preview of a chat program: takes nothing. Nothing but a few bytes
    /// may be sent over the lease.
    Look,
    /// Bytes: takes a use when it begins, which counts when all bytes of the file were sent to this client, in one
    /// request or in several, and is given back some time after it broke off
    /// ([`Options::link_grace`](crate::Options::link_grace)). Whoever resumes within that goes on with the same use.
    Download,
}

impl<'a> LinkRequest<'a> {
    /// For whoever has `secret`. `client` is what tells this client from others, such as its address: it may resume
    /// what it began.
    pub const fn new(secret: &'a [u8], client: &'a [u8], wants: LinkUse) -> Self {
        Self {
            secret,
            client,
            wants,
            address: None,
        }
    }

    /// Where the request came from, for the audit trail.
    #[must_use]
    pub const fn from_address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }
}

impl std::fmt::Debug for LinkRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkRequest")
            .field("wants", &self.wants)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Catalog {
    /// As [`open`](Self::open), for whoever has a link instead of a name.
    ///
    /// # Errors
    ///
    /// [`Refusal`]; a link that is unknown, expired, revoked or used up is "not found".
    ///
    /// # Security
    ///
    /// Of two downloads that want the last use, one gets it. Tell the [`Meter`](crate::Meter) of the lease what was
    /// sent, or no download ever counts as completed; a use is taken as long as the lease lives.
    pub fn open_link(&self, request: &LinkRequest<'_>) -> Result<Lease, Refusal> {
        let serving = self.serving()?;
        let opened = self.decide_and_open_link(serving, request);
        self.record_refusal(serving, Actor::Unknown, request.address, None, &opened);
        opened
    }

    fn decide_and_open_link(&self, serving: &Serving, request: &LinkRequest<'_>) -> Result<Lease, Refusal> {
        let secret = token_digest(request.secret);
        let client = token_digest(request.client);
        for _ in 0..ATTEMPTS {
            let (found, decision, revision) = self.decide_link(serving, &secret, &client)?;
            let file = self.open_file(&decision, Root::open, Patience::MayRead)?;
            let Ok(lease) = Lease::new(file, decision, revision, request.address, serving) else {
                continue;
            };
            let lease = match request.wants {
                LinkUse::Look => lease,
                LinkUse::Download => lease.over(self.take(&found, &client)?, self.link_grace),
            };
            return Ok(lease.recorded());
        }
        Err(Refusal::busy(Duration::from_secs(1), Reason::Overtaken))
    }

    fn decide_link(
        &self,
        serving: &Serving,
        secret: &[u8; 32],
        client: &[u8; 32],
    ) -> Result<(Found, Decision, Revision), Refusal> {
        const REFUSED: Refusal = Refusal::not_found(Reason::UnknownLink);
        self.store.read(|snapshot| {
            let now = Millis::now();
            let revision = crate::store::revision(snapshot)?;
            let found = links::find(snapshot, secret)?.ok_or(REFUSED)?;
            let sealed = decide::entry(snapshot, &found.file)?.ok_or(REFUSED)?;
            let permit = decide::permit(snapshot, &found.ground, sealed.subject_of_decision(), now)?;
            if !links::may_look(snapshot, &found, client, now)? {
                return Err(REFUSED);
            }
            let deadline = serving.feed.deadline(permit.until(), now);
            let entry = sealed.unseal(&permit);
            let decision = Decision::new(found.ground, None, entry, &permit, deadline);
            Ok((found, decision, revision))
        })
    }

    fn take(&self, found: &Found, client: &[u8; 32]) -> Result<links::Use, Refusal> {
        let taken = self
            .store
            .write(|writing| Ok(links::take(writing, found, client, Millis::now())?));
        match taken {
            Ok((Some(taken), _)) => Ok(taken),
            Ok((None, _)) => Err(Refusal::not_found(Reason::UnknownLink)),
            Err(_) => Err(Refusal::UNAVAILABLE),
        }
    }
}
