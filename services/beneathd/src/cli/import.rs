//! `beneathd import-htpasswd`: users of another server, with the passwords they have.

use std::fmt::Display;
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
        let refused = |why: &dyn Display| Failure::Refused(format!("{}: {why}", self.file.display()));
        let bytes = std::fs::read(&self.file).map_err(|error| refused(&error))?;
        let text = str::from_utf8(&bytes).map_err(|error| {
            let line = 1 + bytes[..error.valid_up_to()]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count();
            refused(&format_args!("line {line} is not UTF-8"))
        })?;
        let catalog = catalog::with_roots(&self.common.config()?, [])?;
        let change = catalog::operator(&catalog).import_htpasswd(text, self.role);
        let change = change.map_err(|error| refused(&error))?;
        for user in change.value() {
            self.common.output().done("user", user, "added", &change);
        }
        Ok(())
    }
}
