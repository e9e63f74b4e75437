//! A hundred downloads under way, and a revocation.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::download::Download;
use crate::scene::{By, Kind, Scene};

const DOWNLOADS: usize = 100;
const BOUND: Duration = Duration::from_secs(1);

#[test]
fn a_hundred_downloads_under_way_stop_within_the_bound_whoever_revokes() {
    let scene = Scene::new(BOUND);
    let id = scene.file(Kind::Grant);
    for by in [By::Api, By::CommandLine, By::Library] {
        let (asked, returned, mut stopped) = revoke_under(&scene, &id, by);
        stopped.sort_unstable();
        let after = |stopped: Instant| stopped.saturating_duration_since(asked);
        println!(
            "{by:?}: the revocation returned after {:.1?}; of {DOWNLOADS} downloads the last byte came, after it was \
             asked for: median {:.1?}, maximum {:.1?}",
            returned - asked,
            after(stopped[DOWNLOADS / 2]),
            after(stopped[DOWNLOADS - 1])
        );
        let late = stopped[DOWNLOADS - 1].saturating_duration_since(returned);
        assert!(
            late < BOUND,
            "{by:?}: a byte came {late:?} after the revocation returned"
        );
        scene.act(Kind::Grant, By::Api, &id, false);
    }
}

/// When it was asked for, when it returned, and when the last byte of each download came.
fn revoke_under(scene: &Scene, id: &str, by: By) -> (Instant, Instant, Vec<Instant>) {
    let downloads: Vec<_> = (0..DOWNLOADS)
        .map(|_| Download::start(scene.service.address(), id))
        .collect();
    let running = AtomicUsize::new(DOWNLOADS);
    let follow = &|mut download: Download| {
        let mut last = download.more().expect("it has only begun");
        while let Some(came) = download.more() {
            last = came;
        }
        running.fetch_sub(1, Ordering::SeqCst);
        assert!(download.received() > 0);
        last
    };
    thread::scope(|scope| {
        let followed = downloads.into_iter().map(|it| scope.spawn(move || follow(it)));
        let followed: Vec<_> = followed.collect();
        thread::sleep(Duration::from_millis(200));
        assert_eq!(running.load(Ordering::SeqCst), DOWNLOADS, "all are under way");
        let asked = Instant::now();
        scene.act(Kind::Grant, by, id, true);
        let returned = Instant::now();
        let stopped = followed.into_iter().map(|it| it.join().unwrap());
        (asked, returned, stopped.collect())
    })
}

#[test]
fn a_client_that_takes_nothing_is_cut_too_and_what_waits_for_it_is_thrown_away() {
    let scene = Scene::new(BOUND);
    let id = scene.file(Kind::Grant);
    let download = Download::start(scene.service.address(), &id);
    // All buffers on the way are full.
    thread::sleep(Duration::from_millis(300));
    assert!(download.gone_within(Duration::from_millis(300)).is_none());
    scene.act(Kind::Grant, By::Api, &id, true);
    let gone = download.gone_within(BOUND);
    assert!(
        gone.is_some(),
        "still there {BOUND:?} after the revocation returned"
    );
}
