//! lighttpd from Debian.

use std::path::Path;

use anyhow::Result;

use super::{PASSWORD, Paths, Scheme, Server, USER, await_listener, basic, free_port};
use crate::process::{Cpu, Program};

pub(super) const AUTH: &str = r#"
server.modules += ( "mod_auth", "mod_authn_file" )
auth.backend = "plain"
auth.backend.plain.userfile = "FOLDER/passwords"
auth.require = ( "/" => ( "method" => "basic", "realm" => "files", "require" => "valid-user" ) )
"#;

pub(super) fn start(root: &Path, more: &str) -> Result<Server> {
    let folder = crate::corpus::temporary()?;
    let port = free_port()?;
    let configuration = TEMPLATE
        .replace("MORE", more)
        .replace("PORT", &port.to_string())
        .replace("FOLDER", &folder.path().display().to_string())
        .replace("ROOT", &root.display().to_string());
    let file = folder.path().join("lighttpd.conf");
    std::fs::write(&file, configuration)?;
    std::fs::write(folder.path().join("passwords"), format!("{USER}:{PASSWORD}\n"))?;
    let mut command = Cpu::Server.command("/usr/sbin/lighttpd");
    command.arg("-D").arg("-f").arg(&file);
    let mut program = Program::start(command)?;
    let address = ([127, 0, 0, 1], port).into();
    await_listener(&mut program, address)?;
    Ok(Server {
        name: String::new(),
        address,
        scheme: Scheme::Http,
        authorization: basic(USER, PASSWORD),
        paths: Paths::Names,
        program,
        _configuration: folder,
    })
}

const TEMPLATE: &str = r#"
server.document-root = "ROOT"
server.bind = "127.0.0.1"
server.port = PORT
server.errorlog = "FOLDER/error.log"
server.max-connections = 16384
server.listen-backlog = 4096
server.max-keep-alive-requests = 65535
server.max-keep-alive-idle = 600
server.max-write-idle = 600
mimetype.assign = ( "" => "application/octet-stream" )
MORE
"#;
