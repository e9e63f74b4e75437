//! `beneathd serve`: the service itself.

use clap::Args;

use super::{Common, Failure, catalog};
use crate::process;

/// Run the service
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  beneathd serve --config /etc/beneath/beneathd.toml\n\n\
    SIGTERM, SIGINT and a closed terminal stop it: downloads under way may finish until limits.drain_timeout."
)]
pub(super) struct Serve {
    #[command(flatten)]
    common: Common,
}

impl Serve {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let config = self.common.config()?;
        let listener = process::bind(config.listen)?;
        let output = self.common.output();
        let wanted = config.clone();
        let prepare = move || Ok((catalog::serving(&wanted)?, ()));
        process::run(listener, &config, prepare, |address, ()| {
            let url = catalog::base_url(&config, address);
            output.result(&serde_json::json!({ "url": url }), || {
                format!("listening on {url}")
            });
        })
    }
}
