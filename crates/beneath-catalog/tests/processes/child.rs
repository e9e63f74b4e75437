//! The other process: an administrator who does what is written to it, or one who writes until it is killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use beneath::ambient_authority;
use beneath_catalog::{Administration, Options};

use crate::common::{connect, group, password, publication, subject, user};

/// An administrator in another process, as the command line is one.
pub struct Administrator {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Administrator {
    pub fn start(directory: &Path) -> Self {
        let mut process = spawn("child:administrator", directory, Stdio::piped());
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self {
            process,
            input,
            output,
        }
    }

    /// Returns when the other process says that its act returned.
    pub fn act(&mut self, command: &str) {
        writeln!(self.input, "{command}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        assert_eq!(answer.trim_end(), "done", "{command}");
    }
}

impl Drop for Administrator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn spawn(role: &str, directory: &Path, input: Stdio) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .arg(role)
        .arg(directory)
        .stdin(input)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

pub fn run(role: &str, arguments: &[String]) {
    let catalog = connect(Path::new(&arguments[0]), Options::default());
    let operator = catalog.operator(ambient_authority());
    match role {
        "child:administrator" => obey(&operator),
        "child:writer" => write_for_ever(&operator),
        other => panic!("{other} is no role"),
    }
}

fn obey(operator: &Administration<'_>) {
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["grant", id, to] => drop(operator.grant(&id.parse().unwrap(), &subject(to), None).unwrap()),
            ["revoke", id, from] => drop(operator.revoke(&id.parse().unwrap(), &subject(from)).unwrap()),
            ["disable", name] => drop(operator.disable_user(&user(name)).unwrap()),
            ["enable", name] => drop(operator.enable_user(&user(name)).unwrap()),
            ["join", to, name] => drop(operator.join_group(&group(to), &user(name)).unwrap()),
            ["leave", from, name] => drop(operator.leave_group(&group(from), &user(name)).unwrap()),
            ["password", name, rest @ ..] => {
                drop(
                    operator
                        .set_password(&user(name), &password(&rest.join(" ")))
                        .unwrap(),
                );
            }
            ["unpublish", id] => drop(operator.unpublish(&id.parse().unwrap()).unwrap()),
            other => panic!("{other:?} is no act"),
        }
        println!("done");
    }
}

/// Publishes and revokes; says so after each act has returned, never before.
fn write_for_ever(operator: &Administration<'_>) {
    let mut output = std::io::stdout();
    loop {
        let publication = publication("a").to(subject("user:ann"), None);
        let id = *operator.publish(&publication).unwrap().value().id();
        writeln!(output, "published {id}").unwrap();
        drop(operator.revoke(&id, &subject("user:ann")).unwrap());
        writeln!(output, "revoked {id}").unwrap();
        output.flush().unwrap();
    }
}
