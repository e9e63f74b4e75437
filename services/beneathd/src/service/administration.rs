//! Administration by a user of the API: who they are, then one act of theirs.

use std::ops::ControlFlow;
use std::sync::Arc;

use beneath_catalog::{AdminError, Administration, Change, Credentials, Entry, Pin, Principal, Publication};
use tokio_util::sync::CancellationToken;

use super::{Service, refuse};
use crate::rejection::{Problem, Rejection};

impl Service {
    /// Who somebody is. What they may is decided by each act, again.
    pub(crate) async fn authenticate(&self, credentials: Credentials) -> Result<Principal, Rejection> {
        let catalog = Arc::clone(&self.catalog);
        let threads = match credentials.is_token() {
            true => &self.tokens,
            false => &self.logins,
        };
        let shown = move || {
            catalog
                .authenticate(&credentials)
                .map_err(|refusal| refuse(&refusal, &"the API"))
        };
        threads.run(shown).await?
    }

    /// One act. Once begun it is done, whether or not somebody still waits for the answer.
    pub(crate) async fn administer<T: Send + 'static>(
        &self,
        principal: Principal,
        act: impl FnOnce(Administration<'_>) -> Result<T, AdminError> + Send + 'static,
    ) -> Result<T, Problem> {
        let catalog = Arc::clone(&self.catalog);
        let actor = principal.name().clone();
        let work = move || act(catalog.administration(&principal));
        Ok(self.administration.run(&actor, work).await??)
    }

    /// Publishes a file. What has to be read for that is read no further when the request was reset. (HTTP/1 has no such thing: who
    /// hung up cannot be told from who has only said all they had to say.)
    pub(crate) async fn publish(
        &self,
        principal: Principal,
        publication: Publication,
    ) -> Result<Result<Change<Entry>, AdminError>, Rejection> {
        let catalog = Arc::clone(&self.catalog);
        let gone = CancellationToken::new();
        let _awaited = gone.clone().drop_guard();
        let publisher = principal.name().clone();
        let threads = match publication.pin() {
            Pin::Content => &self.publishing,
            Pin::Path | Pin::Identity => &self.administration,
        };
        let work = move || {
            let administration = catalog.administration(&principal);
            administration.publish_with_progress(&publication, |_, _| match gone.is_cancelled() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        };
        threads.run(&publisher, work).await
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::RwLock;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Waker};
    use std::time::{Duration, Instant};

    use beneath::{RelPath, Root, ambient_authority};
    use beneath_catalog::{Catalog, Options, Role, StoreUrl, UserName};
    use beneath_serve::Proxies;
    use tokio::runtime::Runtime;

    use super::*;
    use crate::service::{ADMINISTRATION_QUEUE, ADMINISTRATION_THREADS, LOGIN_THREADS, PUBLISHING_THREADS};
    use crate::telemetry;

    /// The service, without its sockets.
    struct House {
        service: Arc<Service>,
        // Waits for what is under way.
        runtime: Runtime,
        directory: tempfile::TempDir,
    }

    impl House {
        fn build() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let files = directory.path().join("files");
            std::fs::create_dir(&files).unwrap();
            let root = Root::open_ambient(files, ambient_authority()).unwrap();
            let store = StoreUrl::sqlite(directory.path().join("catalog.db"));
            let roots = [("files".parse().unwrap(), Arc::new(root))];
            let catalog = Catalog::create(&store, roots, Options::default()).unwrap();
            let service = Service::new(catalog, Proxies::default(), &telemetry::start());
            Self {
                service: Arc::new(service),
                runtime: Runtime::new().unwrap(),
                directory,
            }
        }

        /// Somebody who came with a token.
        fn logged_in(&self, name: &str, role: Role) -> Principal {
            self.service
                .catalog
                .authenticate(&self.token(name, role))
                .unwrap()
        }

        fn token(&self, name: &str, role: Role) -> Credentials {
            let catalog = self.service.catalog();
            let operator = catalog.operator(ambient_authority());
            let user: UserName = name.parse().unwrap();
            drop(
                operator
                    .add_user(&user, &"secret".parse().unwrap(), role)
                    .unwrap(),
            );
            let token = operator.create_token(&user, Duration::from_secs(600)).unwrap();
            Credentials::bearer(token.value().reveal().as_bytes())
        }

        /// What is done while `gate` is closed; returns how many of them have begun.
        fn keep_busy(&self, who: &Principal, times: usize, gate: &Arc<RwLock<()>>) -> Arc<AtomicUsize> {
            let begun = Arc::new(AtomicUsize::new(0));
            for _ in 0..times {
                let (service, who) = (Arc::clone(&self.service), who.clone());
                let (gate, begun) = (Arc::clone(gate), Arc::clone(&begun));
                self.runtime.spawn(async move {
                    let act = move |_: Administration<'_>| {
                        begun.fetch_add(1, Ordering::Relaxed);
                        drop(gate.read());
                        Ok(())
                    };
                    service.administer(who, act).await
                });
            }
            begun
        }

        fn publish(
            &self,
            who: &Principal,
            name: &str,
        ) -> impl Future<Output = Result<Result<Change<Entry>, AdminError>, Rejection>> + Send + 'static
        {
            let (service, who) = (Arc::clone(&self.service), who.clone());
            let path = RelPath::parse(name).unwrap();
            let publication = Publication::new("files".parse().unwrap(), path).pinned(Pin::Content);
            async move { service.publish(who, publication).await }
        }

        /// Within a time that is enough on a machine however busy.
        fn in_time<T>(&self, what: &str, done: impl Future<Output = T>) -> T {
            let done = async { tokio::time::timeout(PATIENCE, done).await };
            self.runtime
                .block_on(done)
                .unwrap_or_else(|_| panic!("not in time: {what}"))
        }
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    #[track_caller]
    fn eventually(what: &str, is_so: impl Fn() -> bool) {
        let since = Instant::now();
        while !is_so() {
            assert!(since.elapsed() < PATIENCE, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn whoever_has_a_token_is_heard_while_nobody_else_is_who_has_a_password() {
        let house = House::build();
        let token = house.token("ann", Role::Admin);
        let gate = Arc::new(RwLock::new(()));
        let closed = gate.write().unwrap();
        let _context = house.runtime.enter();
        let mut waiting: Vec<_> = (0..LOGIN_THREADS + ADMINISTRATION_QUEUE)
            .map(|_| {
                let gate = Arc::clone(&gate);
                Box::pin(house.service.logins.run(move || drop(gate.read())))
            })
            .collect();
        let mut context = Context::from_waker(Waker::noop());
        for one in &mut waiting {
            assert!(one.as_mut().poll(&mut context).is_pending());
        }
        let heard = |shown: Credentials| house.in_time("an answer", house.service.authenticate(shown));
        let with_password = heard(Credentials::basic(b"ann", b"secret"));
        assert!(matches!(with_password, Err(Rejection::Busy(_))));
        assert!(heard(token).is_ok());
        drop(closed);
    }

    #[test]
    fn one_user_has_half_of_the_threads_and_cannot_keep_another_from_revoking() {
        let house = House::build();
        let [ann, bob, eve] = ["ann", "bob", "eve"].map(|name| house.logged_in(name, Role::Admin));
        let gate = Arc::default();
        let closed = RwLock::write(&gate).unwrap();
        let half = ADMINISTRATION_THREADS / 2;
        let of_ann = house.keep_busy(&ann, 2 * ADMINISTRATION_THREADS, &gate);
        eventually("ann has half", || of_ann.load(Ordering::Relaxed) == half);

        let eve = eve.name().clone();
        let revoked = house
            .service
            .administer(bob.clone(), move |it| it.disable_user(&eve));
        let _ = house.in_time("bob revokes", revoked).unwrap();

        let of_bob = house.keep_busy(&bob, 2 * ADMINISTRATION_THREADS, &gate);
        eventually("bob has the other half", || {
            of_bob.load(Ordering::Relaxed) == half
        });
        // Long enough for what must not happen to happen, on a machine that has nothing else to do.
        std::thread::sleep(Duration::from_millis(100));
        let begun = [of_ann, of_bob].map(|begun| begun.load(Ordering::Relaxed));
        assert_eq!(begun, [half, half], "there are no more threads than these");
        drop(closed);
    }

    /// How often this process has a file open.
    #[expect(
        clippy::disallowed_methods,
        reason = "what the kernel says of this process, not of a file"
    )]
    fn opened(file: &std::path::Path) -> usize {
        let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
        let open = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.ok()?.path()).ok());
        open.filter(|path| path == file).count()
    }

    #[test]
    fn each_publisher_has_one_thread_to_hash_on_and_as_many_as_there_are_do_not_wait_for_each_other() {
        let house = House::build();
        let [large, small] = ["large", "small"].map(|name| house.directory.path().join("files").join(name));
        // Each of which would take minutes.
        File::create(&large).unwrap().set_len(64 << 30).unwrap();
        std::fs::write(&small, "content").unwrap();
        let others = ["ann", "bob", "cid"].map(|name| house.logged_in(name, Role::Publisher));
        assert_eq!(others.len() + 1, PUBLISHING_THREADS);
        let dan = house.logged_in("dan", Role::Publisher);
        for other in &others {
            for _ in 0..PUBLISHING_THREADS {
                house.runtime.spawn(house.publish(other, "large"));
            }
        }
        eventually("one file of each is hashed", || opened(&large) >= others.len());
        let published = house.in_time("dan publishes", house.publish(&dan, "small"));
        let _ = published.unwrap().unwrap();
        assert_eq!(opened(&large), others.len());
    }
}
