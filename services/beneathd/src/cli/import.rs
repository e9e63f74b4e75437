//! `beneathd import-htpasswd`: users of another server, with the passwords they have.

use std::path::PathBuf;

use beneath_catalog::Role;
use clap::Args;

use super::{Common, Failure, catalog};

/// Add the users of an htpasswd file (bcrypt, SHA-crypt, apr1, {SHA}); each password is kept as argon2id after its first login
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd import-htpasswd /etc/nginx/htpasswd")]
pub(super) struct ImportHtpasswd {
    /// The htpasswd file
    file: PathBuf,
    /// What they may do besides downloading what was granted: reader, publisher or admin
    #[arg(long, default_value = "reader")]
    role: Role,
    #[command(flatten)]
    common: Common,
}

impl ImportHtpasswd {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let text = std::fs::read_to_string(&self.file)
            .map_err(|error| Failure::Refused(format!("{}: {error}", self.file.display())))?;
        let catalog = catalog::with_roots(&self.common.config()?, [])?;
        let change = catalog::operator(&catalog).import_htpasswd(&text, self.role);
        let change = change.map_err(|error| Failure::Refused(format!("{}: {error}", self.file.display())))?;
        for user in change.value() {
            self.common.output().done("user", user, "added", &change);
        }
        Ok(())
    }
}
