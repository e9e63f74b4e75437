//! [`Config`]: the configuration file, parsed once; nothing after this holds unchecked text.

#[cfg(test)]
mod example;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use beneath::{Mounts, Policy, Root, Symlinks, ambient_authority};
use beneath_catalog::{Options, RootName, StoreUrl};
use beneath_serve::{Limits, Proxies, Tls};
use serde::Deserialize;

use crate::service::OPENS_AT_ONCE;

/// Where a configuration file is looked for when none is named.
const DEFAULT_PATHS: [&str; 2] = ["beneathd.toml", "/etc/beneath/beneathd.toml"];

/// The configuration, with every text parsed and every relative path made absolute by the file's own folder.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) public_url: Option<String>,
    pub(crate) catalog: StoreUrl,
    /// What the catalog leaves to be chosen.
    pub(crate) options: Options,
    pub(crate) roots: BTreeMap<RootName, RootConfig>,
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) limits: Limits,
    /// Where the counters are served, if anywhere.
    pub(crate) metrics: Option<SocketAddr>,
}

/// One `[roots.NAME]` section.
#[derive(Clone, Debug)]
pub(crate) struct RootConfig {
    pub(crate) path: PathBuf,
    pub(crate) policy: Policy,
}

/// The `[tls]` section.
#[derive(Clone, Debug)]
pub(crate) struct TlsConfig {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// What is wrong with a configuration: all of it at once, each line naming the key and what to do.
#[derive(Debug)]
pub(crate) struct ConfigError {
    file: PathBuf,
    problems: Vec<String>,
}

impl Config {
    /// Reads the file that was named, or the first default that is there.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the file and: what is not TOML or not a known key with its line, at the first one; what
    /// has no meaning with its key, all of it.
    pub(crate) fn load(named: Option<&Path>) -> Result<Self, ConfigError> {
        let (path, text) = read(named)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let raw: Raw = toml::from_str(&text).map_err(|error| ConfigError::one(&path, error.to_string()))?;
        raw.parse(&folder)
            .map_err(|problems| ConfigError { file: path, problems })
    }
}

impl RootConfig {
    /// Opens the directory: the one place where the service uses a path it was not handed as a capability.
    pub(crate) fn open(&self) -> Result<Root, beneath::Error> {
        Root::open_ambient_with(&self.path, self.policy, ambient_authority())
    }
}

impl TlsConfig {
    pub(crate) fn load(&self) -> Result<Tls, beneath_serve::Error> {
        Tls::from_pem_files(&self.certificate, &self.key)
    }
}

impl ConfigError {
    fn one(file: &Path, problem: String) -> Self {
        Self {
            file: file.to_path_buf(),
            problems: vec![problem],
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "configuration {}:", self.file.display())?;
        for problem in &self.problems {
            write!(f, "\n  {}", problem.trim_end().replace('\n', "\n  "))?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

fn read(named: Option<&Path>) -> Result<(PathBuf, String), ConfigError> {
    if let Some(path) = named {
        return match std::fs::read_to_string(path) {
            Ok(text) => Ok((path.to_path_buf(), text)),
            Err(error) => Err(ConfigError::one(path, format!("cannot be read: {error}"))),
        };
    }
    for path in DEFAULT_PATHS.map(Path::new) {
        match std::fs::read_to_string(path) {
            Ok(text) => return Ok((path.to_path_buf(), text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(ConfigError::one(path, format!("cannot be read: {error}"))),
        }
    }
    Err(ConfigError::one(
        Path::new(DEFAULT_PATHS[0]),
        format!(
            "not found, and neither is {}: name one with --config FILE",
            DEFAULT_PATHS[1]
        ),
    ))
}

/// The file as it is written. Unknown keys are errors: a misspelt limit must not be no limit.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default = "default_listen")]
    listen: String,
    public_url: Option<String>,
    plaintext: Option<Plaintext>,
    #[serde(default)]
    trusted_proxies: Vec<String>,
    #[serde(default = "default_catalog")]
    catalog: String,
    revocation_bound: Option<String>,
    #[serde(default)]
    roots: BTreeMap<String, RawRoot>,
    tls: Option<RawTls>,
    #[serde(default)]
    limits: RawLimits,
    metrics: Option<RawMetrics>,
    #[serde(default)]
    audit: RawAudit,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAudit {
    retention: Option<String>,
    records: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMetrics {
    listen: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Plaintext {
    BehindProxy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoot {
    path: PathBuf,
    #[serde(default)]
    symlinks: RawSymlinks,
    #[serde(default)]
    mounts: RawMounts,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawSymlinks {
    #[default]
    Refuse,
    Beneath,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawMounts {
    #[default]
    Allow,
    Refuse,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTls {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    connections: Option<usize>,
    connections_per_address: Option<usize>,
    header_timeout: Option<String>,
    idle_timeout: Option<String>,
    sendfile_from: Option<u64>,
    stall_timeout: Option<String>,
    drain_timeout: Option<String>,
    failed_logins: Option<u32>,
    kept_open: Option<usize>,
}

const MAX_KEPT_OPEN: usize = 1 << 14;

fn default_listen() -> String {
    "127.0.0.1:8080".to_owned()
}

fn default_catalog() -> String {
    "sqlite:catalog.db".to_owned()
}

impl Raw {
    fn parse(self, folder: &Path) -> Result<Config, Vec<String>> {
        let mut problems = Problems::default();
        let listen = problems.note(parse_listen("listen", &self.listen));
        let metrics = self
            .metrics
            .and_then(|raw| problems.note(parse_listen("metrics.listen", &raw.listen)));
        let catalog = problems.note(parse_catalog(&self.catalog, folder));
        let public_url = self
            .public_url
            .and_then(|url| problems.note(parse_public_url(&url)));
        let roots = self
            .roots
            .into_iter()
            .filter_map(|(name, root)| problems.note(root.parse(&name, folder)));
        let roots = roots.collect();
        let (kept_open, failed_logins) = (self.limits.kept_open, self.limits.failed_logins);
        let mut limits = self.limits.parse(&mut problems);
        limits.proxies = parse_trusted_proxies(&self.trusted_proxies, &mut problems);
        // Half of what the process may open, where `connections` is the default two fifths of it: files that are kept open give way
        // to everything else.
        let kept_open = kept_open.unwrap_or_else(|| (limits.connections / 4 * 5).min(MAX_KEPT_OPEN));
        let mut options = self
            .audit
            .parse(&mut problems)
            .kept_open(kept_open)
            .opens_at_once(OPENS_AT_ONCE);
        match failed_logins {
            Some(0) => {
                let problem = "`limits.failed_logins`: 0 would let nobody try; use 1 or more";
                problems.note::<()>(Err(problem.to_owned()));
            }
            Some(burst) => options = options.failed_logins(burst),
            None => {}
        }
        let bound = self.revocation_bound.as_deref().map(parse_revocation_bound);
        if let Some(bound) = bound.and_then(|bound| problems.note(bound)) {
            options = options.revocation_bound(bound);
        }
        let tls = self.tls.map(|tls| TlsConfig {
            certificate: folder.join(tls.certificate),
            key: folder.join(tls.key),
        });
        if let Some(listen) = listen
            && tls.is_none()
            && self.plaintext.is_none()
        {
            problems.note(refuse_plaintext(listen));
        }
        if listen.is_some_and(|listen| listen.port() != 0 && metrics == Some(listen)) {
            let problem = "`metrics.listen`: is the same as `listen`; give it an address of its own";
            problems.note::<()>(Err(problem.to_owned()));
        }
        match (problems.0.is_empty(), listen, catalog) {
            (true, Some(listen), Some(catalog)) => Ok(Config {
                listen,
                public_url,
                catalog,
                options,
                roots,
                tls,
                limits,
                metrics,
            }),
            _ => Err(problems.0),
        }
    }
}

/// Basic credentials are readable by whoever is on the wire (RFC 7617 §4).
pub(crate) fn refuse_plaintext(listen: SocketAddr) -> Result<(), String> {
    if listen.ip().is_loopback() {
        return Ok(());
    }
    Err(format!(
        "`listen`: {listen} is not a loopback address and there is no TLS, so passwords would cross the network \
         readable; add a [tls] section, or say `plaintext = \"behind-proxy\"` if a proxy ends TLS"
    ))
}

impl RawRoot {
    fn parse(self, name: &str, folder: &Path) -> Result<(RootName, RootConfig), String> {
        let name = name
            .parse::<RootName>()
            .map_err(|error| format!("`roots.{name}`: {error}"))?;
        let symlinks = match self.symlinks {
            RawSymlinks::Refuse => Symlinks::Refuse,
            RawSymlinks::Beneath => Symlinks::Beneath,
        };
        let mounts = match self.mounts {
            RawMounts::Allow => Mounts::Allow,
            RawMounts::Refuse => Mounts::Refuse,
        };
        let policy = Policy::default().symlinks(symlinks).mounts(mounts);
        Ok((
            name,
            RootConfig {
                path: folder.join(self.path),
                policy,
            },
        ))
    }
}

impl RawAudit {
    /// What is absent stays at the catalog's default.
    fn parse(self, problems: &mut Problems) -> Options {
        let mut options = Options::default();
        let retention = self.retention.as_deref().map(parse_retention);
        if let Some(age) = retention.and_then(|age| problems.note(age)) {
            options = options.audit_retention(age);
        }
        match self.records {
            Some(records @ ..1000) => {
                problems.note::<()>(Err(format!(
                    "`audit.records`: {records} records are soon overwritten; keep 1000 or more"
                )));
            }
            Some(records) => options = options.audit_records(records),
            None => {}
        }
        options
    }
}

impl RawLimits {
    /// What is absent stays at the transport's default.
    fn parse(self, problems: &mut Problems) -> Limits {
        let mut limits = Limits::default();
        let durations = [
            ("header_timeout", self.header_timeout, &mut limits.header_timeout),
            ("idle_timeout", self.idle_timeout, &mut limits.idle_timeout),
            ("stall_timeout", self.stall_timeout, &mut limits.stall_timeout),
            ("drain_timeout", self.drain_timeout, &mut limits.drain),
        ];
        for (key, text, limit) in durations {
            let parsed = text.map(|text| parse_duration(&format!("limits.{key}"), &text));
            if let Some(duration) = parsed.and_then(|parsed| problems.note(parsed)) {
                *limit = duration;
            }
        }
        if let Some(bytes) = self.sendfile_from {
            limits.sendfile_from = bytes;
        }
        let counts = [
            ("connections", self.connections, &mut limits.connections),
            (
                "connections_per_address",
                self.connections_per_address,
                &mut limits.connections_per_address,
            ),
        ];
        for (key, count, limit) in counts {
            match count {
                Some(0) => {
                    problems.note::<()>(Err(format!(
                        "`limits.{key}`: 0 would serve nobody; use 1 or more"
                    )));
                }
                Some(count) => *limit = count,
                None => {}
            }
        }
        limits
    }
}

/// Collects problems, so that all are reported at once.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn note<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|problem| self.0.push(problem)).ok()
    }
}

/// An administrative change waits this long for a process that died, so a typing error must not make it wait for ever.
fn parse_revocation_bound(text: &str) -> Result<Duration, String> {
    match parse_duration("revocation_bound", text)? {
        bound if Options::REVOCATION_BOUNDS.contains(&bound) => Ok(bound),
        _ => Err(format!(
            "`revocation_bound`: {text:?} is not between 20 ms, within which no process hears of a change, and 10 minutes, which a \
             revocation could take to be effective"
        )),
    }
}

fn parse_listen(key: &str, text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("`{key}`: {text:?} is not an address and port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"")
    })
}

fn parse_trusted_proxies(texts: &[String], problems: &mut Problems) -> Proxies {
    texts.iter().fold(Proxies::default(), |proxies, text| {
        let trusted = match text.as_str() {
            // Nothing here listens on one.
            "unix" => Err("`trusted_proxies`: \"unix\" is no address and no network".to_owned()),
            text => proxies
                .clone()
                .trust(text)
                .map_err(|error| format!("`trusted_proxies`: {error}")),
        };
        problems.note(trusted).unwrap_or(proxies)
    })
}

fn parse_catalog(text: &str, folder: &Path) -> Result<StoreUrl, String> {
    let url = text
        .parse::<StoreUrl>()
        // Not repeated: the URL of a database server may hold a password.
        .map_err(|error| format!("`catalog`: {error}"))?;
    Ok(url.relative_to(folder))
}

fn parse_public_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    let valid = url.parse::<http::Uri>().is_ok_and(|uri| {
        let plain_host = uri.authority().is_some_and(is_host_and_port);
        matches!(uri.scheme_str(), Some("http" | "https")) && plain_host && uri.query().is_none()
    }) && !url.contains('#');
    valid.then(|| url.to_owned()).ok_or_else(|| {
        format!("`public_url`: {text:?} is not an http or https URL, such as \"https://files.example.org\"")
    })
}

/// No user, and a port, if any, that is one.
fn is_host_and_port(authority: &http::uri::Authority) -> bool {
    let (whole, host) = (authority.as_str(), authority.host());
    let with_port = authority.port_u16().map(|port| format!("{host}:{port}"));
    whole == host || with_port.is_some_and(|with_port| whole == with_port)
}

/// From an hour to a century.
fn parse_retention(text: &str) -> Result<Duration, String> {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    const CENTURY: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);
    match humantime::parse_duration(text) {
        Ok(duration) if (HOUR..=CENTURY).contains(&duration) => Ok(duration),
        Ok(_) => Err(format!(
            "`audit.retention`: {text:?} is not between an hour and 100 years"
        )),
        Err(error) => Err(format!(
            "`audit.retention`: {text:?} is not a duration, such as \"90d\": {error}"
        )),
    }
}

/// Clocks overflow somewhere beyond it, and nobody waits that long.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

fn parse_duration(key: &str, text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err(format!("`{key}`: must be longer than zero")),
        Ok(duration) if duration > LONGEST => Err(format!("`{key}`: {text:?} is longer than a year")),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!(
            "`{key}`: {text:?} is not a duration, such as \"30s\" or \"500ms\": {error}"
        )),
    }
}
