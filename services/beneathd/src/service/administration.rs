//! Administration by a user of the API: who they are, then one act of theirs.

use std::ops::ControlFlow;
use std::sync::Arc;

use beneath_catalog::{AdminError, Administration, Change, Credentials, Entry, Pin, Principal, Publication};
use tokio_util::sync::CancellationToken;

use super::{Service, refuse};
use crate::rejection::{Problem, Rejection};

impl Service {
    /// Who somebody is. What they may is decided by each act, again.
    pub(crate) async fn authenticate(&self, credentials: Credentials) -> Result<Principal, Rejection> {
        let catalog = Arc::clone(&self.catalog);
        let shown = move || {
            catalog
                .authenticate(&credentials)
                .map_err(|refusal| refuse(&refusal, &"the API"))
        };
        self.logins.run(shown).await?
    }

    /// One act. Once begun it is done, whether or not somebody still waits for the answer.
    pub(crate) async fn administer<T: Send + 'static>(
        &self,
        principal: Principal,
        act: impl FnOnce(Administration<'_>) -> Result<T, AdminError> + Send + 'static,
    ) -> Result<T, Problem> {
        let catalog = Arc::clone(&self.catalog);
        let actor = principal.name().clone();
        let work = move || act(catalog.administration(&principal));
        Ok(self.administration.run(&actor, work).await??)
    }

    /// Publishes a file. What has to be read for that is read no further when the request was reset. (HTTP/1 has no such thing: who
    /// hung up cannot be told from who has only said all they had to say.)
    pub(crate) async fn publish(
        &self,
        principal: Principal,
        publication: Publication,
    ) -> Result<Result<Change<Entry>, AdminError>, Rejection> {
        let catalog = Arc::clone(&self.catalog);
        let gone = CancellationToken::new();
        let _awaited = gone.clone().drop_guard();
        let publisher = principal.name().clone();
        let threads = match publication.pin() {
            Pin::Content => &self.publishing,
            Pin::Path | Pin::Identity => &self.administration,
        };
        let work = move || {
            let administration = catalog.administration(&principal);
            administration.publish_with_progress(&publication, |_, _| match gone.is_cancelled() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        };
        threads.run(&publisher, work).await
    }
}
