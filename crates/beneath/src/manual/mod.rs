//! Why things are as they are: [threat model](threat_model), [defaults], [past flaws](cves).

pub mod cves;
pub mod defaults;
pub mod threat_model;
