//! A file system that does not answer any more holds up who wants what is on it, and nobody else.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests build their own trees by name, and stop at the first surprise"
)]

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, UNIX_EPOCH};

use beneath_tests::api::Api;
use beneath_tests::{Beneathd, House, http};
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo,
    LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEntry, Request,
};

/// Has `file`, of [`SIZE`] zeros, and answers while nobody says that it hangs. Nothing of what it says is remembered.
struct Remote(Arc<Answering>);

#[derive(Default)]
struct Answering {
    hangs: Mutex<bool>,
    changed: Condvar,
}

const FILE: INodeNo = INodeNo(2);
const SIZE: u64 = 64 << 20;

impl Answering {
    fn hang(&self, hangs: bool) {
        *self.hangs.lock().unwrap() = hangs;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let hangs = self.hangs.lock().unwrap();
        drop(self.changed.wait_while(hangs, |hangs| *hangs).unwrap());
    }
}

fn attributes(of: INodeNo) -> FileAttr {
    // Long ago, by a clock with fine times.
    let then = UNIX_EPOCH + Duration::new(1_000_000_000, 1);
    FileAttr {
        ino: of,
        size: SIZE,
        blocks: SIZE / 512,
        atime: then,
        mtime: then,
        ctime: then,
        crtime: then,
        kind: if of == FILE {
            FileType::RegularFile
        } else {
            FileType::Directory
        },
        perm: 0o755,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        flags: 0,
        blksize: 4096,
    }
}

impl Filesystem for Remote {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.0.wait();
        match name == "file" {
            true => reply.entry(&Duration::ZERO, &attributes(FILE), Generation(0)),
            false => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, of: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.0.wait();
        reply.attr(&Duration::ZERO, &attributes(of));
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.0.wait();
        let len = u64::from(size).min(SIZE.saturating_sub(offset));
        reply.data(&vec![0; usize::try_from(len).unwrap()]);
    }
}

/// Answers again when it is dropped: before that not even `SIGKILL` ends who waits for it.
struct Hanging(Arc<Answering>);

impl Drop for Hanging {
    fn drop(&mut self) {
        self.0.hang(false);
    }
}

fn mount(at: &Path) -> (BackgroundSession, Arc<Answering>) {
    fs::create_dir(at).unwrap();
    let answering = Arc::<Answering>::default();
    let remote = Remote(Arc::clone(&answering));
    (
        fuser::spawn_mount(remote, at, &Config::default()).unwrap(),
        answering,
    )
}

const ALICE: &str = "Basic YWxpY2U6c2VjcmV0";

/// Asks for a file, and takes a little of it if there is some.
fn begin(service: &Beneathd, path: &str) -> TcpStream {
    let mut client = TcpStream::connect(service.address()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(
        client,
        "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {ALICE}\r\n\r\n"
    )
    .unwrap();
    client
}

#[test]
fn what_is_on_other_file_systems_is_served_and_revoked_while_one_hangs() {
    // The gate sets it, and says so, on a machine that cannot make one.
    if std::env::var_os("BENEATH_WITHOUT_FUSE").is_some() {
        return;
    }
    let house = House::build();
    let (_session, answering) = mount(&house.path("remote"));
    house.configure(
        "listen = \"127.0.0.1:0\"\n[roots.files]\npath = \"files\"\n[roots.remote]\npath = \"remote\"\n\
         [limits]\ndrain_timeout = \"1s\"\n",
    );
    house.add_user("alice");
    let admin = ["user", "add", "admin", "--role", "admin", "--password-stdin"];
    house.run_with(&admin, "secret\n").succeeds();
    fs::write(house.path("files/large.bin"), vec![7; 64 << 20]).unwrap();
    let publish = |what: &str, more: &[&str]| {
        let command = ["publish", what, "--to", "user:alice", "--json"];
        house.run(&[&command, more].concat()).published().id
    };
    let [report, large, remote] = ["files:report.txt", "files:large.bin", "remote:file"]
        .map(|name| publish(name, &["--pin", "content"]));
    // Each of its uses is asked for on a thread of those that wait for disks.
    let link = house.json(&["link", "create", &report, "--uses", "10000"]);
    let link = link["url"]
        .as_str()
        .unwrap()
        .rsplit_once("/l/")
        .unwrap()
        .1
        .to_owned();
    let service = house.serve();
    let status = |id: &str| http::get(service.address(), &format!("/f/{id}"), ALICE, "").status;
    assert_eq!(status(&report), 200);

    let mut under_way = [&remote, &large].map(|id| begin(&service, &format!("/f/{id}")));
    for client in &mut under_way {
        client.read_exact(&mut [0; 1024]).unwrap();
    }
    answering.hang(true);
    let hanging = Hanging(Arc::clone(&answering));
    // More than there are threads for downloads.
    let _waiting: Vec<_> = (0..200)
        .map(|_| begin(&service, &format!("/f/{remote}")))
        .collect();
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(4) {
        assert_eq!(status(&report), 200);
        let over_link = http::get(service.address(), &format!("/l/{link}"), "", "");
        assert_eq!(over_link.status, 200);
        std::thread::sleep(Duration::from_millis(50));
    }
    let asked = Instant::now();
    let admin = Api::login(service.address(), "admin", "secret");
    let revoked = admin.revoke(&report, "user:alice");
    assert_eq!(revoked.effective, "acknowledged");
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    let [mut cut, mut client] = under_way;
    client.read_exact(&mut vec![0; 32 << 20]).unwrap();
    drop(hanging);
    let mut rest = Vec::new();
    // Reset, perhaps.
    let _ = cut.read_to_end(&mut rest);
    assert!((rest.len() as u64) < SIZE, "nobody could see what was sent of it");
}
