//! `beneathd check`: whether the configuration, and then the roots, the catalog and the TLS files it names, can be used.

use std::net::SocketAddr;
use std::time::SystemTime;

use clap::Args;

use super::output::remark;
use super::{Common, Failure, catalog};
use crate::process::ProcessError;

/// Read the configuration, then roots, catalog and TLS files, and report all problems of either
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd check --config /etc/beneath/beneathd.toml")]
pub(super) struct Check {
    #[command(flatten)]
    common: Common,
}

impl Check {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let told = |failure: &Failure| self.tell(&[failure.sentence()]);
        let config = self.common.config().inspect_err(told)?;
        let roots = config.roots.keys();
        let roots = roots.filter_map(|name| catalog::open_root(&config, name).err());
        let tls = config.tls.as_ref().map(|tls| tls.load()).transpose();
        // Clients will not go on; the service would.
        let expires = tls.as_ref().ok().and_then(|tls| tls.as_ref()?.expires());
        if expires.is_some_and(|end| end < SystemTime::now()) {
            remark("the TLS certificate has expired");
        }
        let tls = tls.err().map(|error| Failure::from(ProcessError::tls(&error)));
        let metrics = config.metrics.and_then(unusable);
        let problems: Vec<_> = roots
            .chain(catalog::problem(&config))
            .chain(tls)
            .chain(unusable(config.listen))
            .chain(metrics)
            .collect();
        if !problems.is_empty() {
            let sentences: Vec<_> = problems.iter().map(Failure::sentence).collect();
            self.tell(&sentences);
            // As `serve` would say: what no other time makes right is wrong in the configuration.
            return Err(match problems.iter().any(|it| matches!(it, Failure::Usage(_))) {
                true => Failure::Usage(sentences.join("\n")),
                false => Failure::Refused(sentences.join("\n")),
            });
        }
        let summary = serde_json::json!({ "ok": true, "roots": config.roots.len() });
        self.common
            .output()
            .result(&summary, || format!("ready: {} roots", config.roots.len()));
        Ok(())
    }

    fn tell(&self, problems: &[&str]) {
        let summary = serde_json::json!({ "ok": false, "problems": problems });
        self.common.output().failure(&summary);
    }
}

/// Why nobody could listen there, as far as that is the address: its port is the service's, which may be starting now.
fn unusable(address: SocketAddr) -> Option<Failure> {
    let error = std::net::TcpListener::bind((address.ip(), 0)).err()?;
    Some(ProcessError::cannot_listen(address, &error).into())
}
