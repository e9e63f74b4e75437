//! Administration by a user of the API: who they are, then one act of theirs.

use std::sync::Arc;

use beneath_catalog::{AdminError, Administration, Credentials, Principal};

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
        self.downloads.run(shown).await?
    }

    /// One act. Once begun it is done, whether or not somebody still waits for the answer.
    pub(crate) async fn administer<T: Send + 'static>(
        &self,
        principal: Principal,
        act: impl FnOnce(Administration<'_>) -> Result<T, AdminError> + Send + 'static,
    ) -> Result<T, Problem> {
        let catalog = Arc::clone(&self.catalog);
        let work = move || act(catalog.administration(&principal));
        Ok(self.administration.run(work).await??)
    }
}
