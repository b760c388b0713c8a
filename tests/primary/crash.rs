//! A crash at every operation of a session, and of the opens after it.

use crate::session::{Book, Session, script, site};
use crate::site::{LogState, Site};
use epochwal::storage::sim::SimStorage;
use std::sync::{Arc, Mutex};

/// A moment: the disk with an operation under way, the log, the book.
type Moment = (SimStorage, LogState, Book);

/// What a power failure may leave of a disk: all of it where that is little.
fn remains(disk: &SimStorage) -> Vec<SimStorage> {
    if disk.pending_count() <= 6 {
        return disk.crashes().take(128).collect();
    }
    let random = (0..20).map(|seed| disk.crash_random(seed));
    let mut remains: Vec<_> = random.collect();
    remains.extend([disk.crash_nothing(), disk.crash_everything()]);
    remains
}

fn at(moment: &Moment, site: &Site, disk: SimStorage) -> Site {
    let crashed = site.after(disk);
    *crashed.log.state() = moment.1.clone();
    crashed
}

#[test]
fn what_was_promised_survives_a_crash_at_any_operation() {
    let site = site();
    let moments: Arc<Mutex<Vec<Moment>>> = Arc::default();
    let current: Arc<Mutex<Book>> = Arc::default();
    let (seen, book, log) = (moments.clone(), current.clone(), site.log.clone());
    site.disk.on_operation(move |disk, _| {
        let moment = (disk, log.state().clone(), book.lock().unwrap().clone());
        seen.lock().unwrap().push(moment);
    });
    let mut session = Session::open(&site).unwrap();
    for step in script() {
        session.announce(&step);
        *current.lock().unwrap() = session.book.clone();
        session.run(&step).unwrap();
        *current.lock().unwrap() = session.book.clone();
    }
    assert!(session.primary.stats().compactions >= 1);
    session.primary.close().unwrap();
    site.disk.stop_observing();
    let moments = std::mem::take(&mut *moments.lock().unwrap());
    assert!(moments.len() > 150, "{}", moments.len());
    let (mut states, mut again) = (0, 0);
    for (n, moment) in moments.iter().enumerate() {
        for (m, disk) in remains(&moment.0).into_iter().enumerate() {
            let tell = || format!("operation {n}, remains {m}");
            // Of some, what a crash of its own open leaves.
            if (n + m) % 24 == 0 {
                again += crash_again(moment, &site, &disk, &tell);
            }
            moment.2.check(&at(moment, &site, disk), &tell);
            states += 1;
        }
    }
    println!(
        "{} operations, {states} states, {again} of crashed opens",
        moments.len()
    );
    assert!(states > 1500 && again > 300, "{states}, {again}");
}

/// Crashes at each operation of an open.
fn crash_again(moment: &Moment, site: &Site, disk: &SimStorage, tell: &dyn Fn() -> String) -> u64 {
    let opened = at(moment, site, disk.snapshot());
    let moments: Arc<Mutex<Vec<(SimStorage, LogState)>>> = Arc::default();
    let (seen, log) = (moments.clone(), opened.log.clone());
    opened.disk.on_operation(move |disk, _| {
        seen.lock().unwrap().push((disk, log.state().clone()));
    });
    drop(opened.open());
    opened.disk.stop_observing();
    let mut states = 0;
    for (n, (disk, log)) in moments.lock().unwrap().iter().enumerate() {
        for disk in [
            disk.crash_nothing(),
            disk.crash_everything(),
            disk.crash_random(n as u64),
        ] {
            let crashed = opened.after(disk);
            *crashed.log.state() = log.clone();
            moment.2.check(&crashed, &|| {
                format!("{}, operation {n} of its open", tell())
            });
            states += 1;
        }
    }
    states
}

/// An import is there whole, or has not happened and is asked for again.
#[test]
fn an_import_survives_a_crash_at_any_operation() {
    use epochwal::primary::{Origin, Slot};
    let site = Site::new(100);
    let moments: Arc<Mutex<Vec<(SimStorage, LogState)>>> = Arc::default();
    let (seen, log) = (moments.clone(), site.log.clone());
    site.disk.on_operation(move |disk, _| {
        seen.lock().unwrap().push((disk, log.state().clone()));
    });
    let slots = || {
        let each = |n: u64| Slot::new(&format!("{n}"), n, Origin::Acknowledged, 1);
        (1..40).map(each).collect::<Vec<_>>()
    };
    drop(site.open_importing(&mut || Ok(slots())).unwrap());
    site.disk.stop_observing();
    let mut asked = 0;
    for (n, (disk, log)) in moments.lock().unwrap().iter().enumerate() {
        for disk in remains(disk) {
            let crashed = site.after(disk);
            *crashed.log.state() = log.clone();
            let primary = crashed.open_importing(&mut || {
                asked += 1;
                Ok(slots())
            });
            let primary = primary.unwrap_or_else(|e| panic!("operation {n}: {e:?}"));
            assert_eq!(crate::site::valid(&primary).len(), 39, "operation {n}");
        }
    }
    assert!(asked > 10, "{asked}");
}
