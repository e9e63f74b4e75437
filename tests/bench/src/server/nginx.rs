//! nginx from Debian, one worker.

use std::path::Path;

use anyhow::Result;

use super::{PASSWORD, Paths, Scheme, Server, USER, await_listener, basic, free_port};
use crate::process::{Cpu, Program};
use crate::tls::Certificate;

/// The hash that costs nginx least; it still reads the file on each request.
pub(super) const AUTH: &str = "auth_basic files; auth_basic_user_file FOLDER/htpasswd;";
pub(super) const CACHE: &str = "open_file_cache max=20000 inactive=600s; open_file_cache_valid 600s;";
pub(super) const NO_SYMLINKS: &str = "disable_symlinks on from=ROOT;";

pub(super) fn start(root: &Path, more: &str, tls: Option<&Certificate>) -> Result<Server> {
    let folder = crate::corpus::temporary()?;
    if let Some(tls) = tls {
        tls.write_to(folder.path())?;
    }
    let port = free_port()?;
    let path = folder.path().display().to_string();
    let configuration = TEMPLATE
        .replace("MORE", more)
        .replace("SECURE", if tls.is_some() { "ssl" } else { "" })
        .replace("TLS", if tls.is_some() { TLS } else { "" })
        .replace(
            "USER",
            if rustix::process::geteuid().is_root() {
                "user root;"
            } else {
                ""
            },
        )
        .replace("PORT", &port.to_string())
        .replace("FOLDER", &path)
        .replace("ROOT", &root.display().to_string());
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, configuration)?;
    // {SHA} of the password: as `openssl dgst -sha1 -binary | base64` prints it.
    std::fs::write(
        folder.path().join("htpasswd"),
        format!("{USER}:{{SHA}}{PASSWORD_SHA1}\n"),
    )?;
    let mut command = Cpu::Server.command("/usr/sbin/nginx");
    command
        .arg("-p")
        .arg(&path)
        .arg("-e")
        .arg("stderr")
        .arg("-c")
        .arg(&file);
    let mut program = Program::start(command)?;
    let address = ([127, 0, 0, 1], port).into();
    await_listener(&mut program, address)?;
    Ok(Server {
        name: String::new(),
        address,
        scheme: tls.map_or(Scheme::Http, |tls| Scheme::Https(tls.clone())),
        authorization: basic(USER, PASSWORD),
        paths: Paths::Names,
        program,
        _configuration: folder,
    })
}

/// Protocols as beneathd has them; which suite is used is for the load to say.
const TLS: &str =
    "ssl_certificate FOLDER/cert.pem; ssl_certificate_key FOLDER/key.pem; ssl_protocols TLSv1.2 TLSv1.3;";

const PASSWORD_SHA1: &str = "zNktil/Z2OZYj1TuhevHHchq4k8=";

const TEMPLATE: &str = r"
daemon off;
USER
worker_processes 1;
pid FOLDER/pid;
error_log stderr crit;
events { worker_connections 16384; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  default_type application/octet-stream;
  client_body_temp_path FOLDER/body;
  proxy_temp_path FOLDER/proxy;
  fastcgi_temp_path FOLDER/fastcgi;
  uwsgi_temp_path FOLDER/uwsgi;
  scgi_temp_path FOLDER/scgi;
  server {
    listen 127.0.0.1:PORT backlog=4096 SECURE;
    TLS
    root ROOT;
    MORE
  }
}
";
