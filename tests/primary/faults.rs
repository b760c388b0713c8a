//! Every call of a session fails once, in each way that it can.

use crate::session::{Session, heals, script, site};
use crate::site::*;
use epochwal::ErrorKind;
use epochwal::storage::sim::{Call, FaultPlan};

/// Runs the session until a failure that is final; a passing one is met by
/// trying again. True: it was final.
fn run(session: &mut Session<'_>, tell: &str) -> bool {
    for step in script() {
        let mut result = session.run(&step);
        if result.as_ref().is_err_and(heals) {
            session.site.disk.clear_faults();
            result = session.run(&step);
        }
        let Err(error) = result else {
            continue;
        };
        let kinds = [ErrorKind::Io, ErrorKind::OutcomeUnknown];
        assert!(kinds.contains(&error.kind()), "{tell}: {error:?}");
        return true;
    }
    false
}

/// After it nothing is acknowledged, nothing is pruned, and waits are told.
fn assert_final(session: &Session<'_>, tell: &str) {
    let primary = &session.primary;
    let pruned = session.site.log.state().prunes.len();
    for refused in [
        primary.prune(None).map(|_| ()),
        primary.save(),
        primary.register("new", None).map(|_| ()),
        primary.slot_create("new", None, false),
        primary.enforce_limits(0).map(|_| ()),
        primary.ack("a", 1, &durable(1)),
        primary.plan_resume("a", 1, 0).map(|_| ()),
    ] {
        assert_eq!(kind(refused), ErrorKind::Failed, "{tell}");
    }
    assert_eq!(session.site.log.state().prunes.len(), pruned, "{tell}");
}

/// What is left, found by another process and after power failures.
fn check_remains(session: Session<'_>, tell: &str) {
    let Session {
        site,
        book,
        primary,
        ..
    } = session;
    site.disk.clear_faults();
    drop(primary);
    let disk = &site.disk;
    let crashes = (1..4).map(|seed| disk.crash_random(seed));
    let all = [
        disk.snapshot(),
        disk.crash_nothing(),
        disk.crash_everything(),
    ];
    for (n, disk) in all.into_iter().chain(crashes).enumerate() {
        book.check(&site.after(disk), &|| format!("{tell}, remains {n}"));
    }
}

/// Each call of that kind, of a session that makes its store and of one that
/// finds one. Gives how many there were.
fn each_call(call: Call, plan: impl Fn() -> FaultPlan, may_be_final: bool) -> u64 {
    [false, true]
        .map(|found| each_call_of(call, &plan, may_be_final, found))
        .iter()
        .sum()
}

fn each_call_of(call: Call, plan: &dyn Fn() -> FaultPlan, may_be_final: bool, found: bool) -> u64 {
    for nth in 1.. {
        let tell = format!("{call:?} number {nth}, store found: {found}");
        let site = site();
        if found {
            site.open()
                .unwrap()
                .slot_create("old", None, false)
                .unwrap();
        }
        let fault = site.disk.fail(plan().nth(nth));
        let session = match Session::open(&site) {
            Ok(session) => Some(session),
            Err(error) => {
                assert!(
                    heals(&error) || error.kind() == ErrorKind::Io,
                    "{tell}: {error:?}"
                );
                site.disk.clear_faults();
                drop(site.open().unwrap_or_else(|e| panic!("{tell}: {e:?}")));
                None
            }
        };
        if let Some(mut session) = session {
            let failed = run(&mut session, &tell);
            assert!(may_be_final || !failed, "{tell} was final");
            if failed {
                assert_final(&session, &tell);
            }
            check_remains(session, &tell);
        }
        if fault.hits() == 0 {
            return nth - 1;
        }
    }
    unreachable!("a session has fewer calls than numbers")
}

const ALL: [Call; 9] = [
    Call::Open,
    Call::Rename,
    Call::Remove,
    Call::SyncDir,
    Call::Read,
    Call::Write,
    Call::SyncData,
    Call::SyncAll,
    Call::Len,
];

#[test]
fn an_error_of_any_call_is_honest() {
    let calls = ALL.map(|call| each_call(call, || FaultPlan::error(call, libc::EIO), true));
    println!("{:?}: {calls:?}", ALL);
    assert!(calls.iter().sum::<u64>() > 150, "{calls:?}");
}

/// No space heals, but for a sync that says so.
#[test]
fn no_space_heals() {
    for call in [Call::Open, Call::Rename, Call::Write] {
        each_call(call, || FaultPlan::error(call, libc::ENOSPC), false);
    }
    for call in [Call::SyncData, Call::SyncAll, Call::SyncDir] {
        each_call(call, || FaultPlan::error(call, libc::ENOSPC), true);
    }
}

#[test]
fn short_writes_and_interruptions_are_nothing() {
    each_call(Call::Write, || FaultPlan::short(Call::Write, 70), false);
    for call in [
        Call::Read,
        Call::Write,
        Call::SyncData,
        Call::SyncAll,
        Call::SyncDir,
    ] {
        each_call(call, || FaultPlan::error(call, libc::EINTR), false);
    }
}

/// A write that fell short and then found no space is written over.
#[test]
fn a_short_write_that_ends_without_space_is_cut_back() {
    let site = Site::new(100);
    let primary = site.open().unwrap();
    for (n, lens) in [1, 79, 130].into_iter().enumerate() {
        site.disk.fail(FaultPlan::short(Call::Write, lens));
        site.disk.fail(FaultPlan::error(Call::Write, libc::ENOSPC));
        let id = format!("{n}");
        let long = "y".repeat(200);
        assert_eq!(
            kind(primary.slot_create(&long, Some(9), false)),
            ErrorKind::NoSpace
        );
        site.disk.clear_faults();
        assert_eq!(primary.slots().len(), n);
        primary.slot_create(&id, Some(10), false).unwrap();
    }
    assert_eq!(primary.stats().saves_without_space, 3);
    for disk in [
        site.disk.snapshot(),
        site.disk.crash_nothing(),
        site.disk.crash_everything(),
    ] {
        assert_eq!(valid(&site.after(disk).open().unwrap()).len(), 3);
    }
}

/// A new file whose name could not be made durable holds what the caller was
/// told had failed: the next save must not leave it there.
#[test]
fn a_slot_that_failed_to_be_made_is_not_there_later() {
    let site = Site::new(100);
    let primary = site.open().unwrap();
    let fault = site
        .disk
        .fail(FaultPlan::error(Call::SyncDir, libc::EMFILE));
    let failed = (0..1000).find(|n| {
        let made = primary.slot_create(&format!("{n}"), None, false);
        made.is_err_and(|e| heals(&e))
    });
    assert_eq!(fault.hits(), 1);
    let failed = failed.expect("a file was full");
    primary.slot_create("next", None, false).unwrap();
    assert_eq!(primary.slots().len(), failed + 1);
    for disk in [site.disk.snapshot(), site.disk.crash_nothing()] {
        let slots = valid(&site.after(disk).open().unwrap());
        assert_eq!(slots.len(), failed + 1);
    }
}

/// On a full disk the log is pruned by what was saved before: that is how
/// space comes back.
#[test]
fn a_full_disk_does_not_stop_a_prune() {
    let site = Site::new(100);
    let primary = site.open().unwrap();
    let a = primary.register("a", None).unwrap().generation;
    site.log.append_through(300);
    primary.ack("a", a, &durable(200)).unwrap();
    primary.save().unwrap();
    primary.ack("a", a, &durable(250)).unwrap();
    site.disk
        .fail(FaultPlan::error(Call::Write, libc::ENOSPC).always());
    assert_eq!(kind(primary.save()), ErrorKind::NoSpace);
    assert_eq!(primary.prune(None).unwrap(), 200);
    primary.ack("a", a, &durable(260)).unwrap();
    site.disk.clear_faults();
    assert_eq!(primary.prune(None).unwrap(), 260);
}

/// The thread that finds no space tries again.
#[test]
fn the_thread_tries_again_when_there_was_no_space() {
    let site = Site::new(100).with(|o| {
        o.saver = true;
        o.save_interval = std::time::Duration::from_millis(1);
    });
    let primary = site.open().unwrap();
    let a = primary.register("a", None).unwrap().generation;
    site.log.append_through(200);
    let full = site
        .disk
        .fail(FaultPlan::error(Call::Write, libc::ENOSPC).always());
    primary.ack("a", a, &durable(200)).unwrap();
    until("it has tried again", || full.hits() >= 3);
    full.lift();
    until("it is saved", || {
        primary.slot("a").unwrap().saved_lsn == 200
    });
}

/// A failure that the thread finds is everyone's, also of those who sleep.
#[test]
fn a_failed_sync_is_told_to_who_waits() {
    use epochwal::primary::{AckPolicy, Level, Quorum};
    let site = Site::new(100).with(|o| o.saver = true);
    let primary = site.open().unwrap();
    let a = primary.register("a", None).unwrap().generation;
    site.log.append_through(200);
    site.disk.fail(FaultPlan::error(Call::SyncData, libc::EIO));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let two = AckPolicy::new(Quorum::Replicas(1), Level::Applied);
            primary.wait_acks(200, &two, None)
        });
        until("it waits", || primary.stats().waiting == 1);
        primary.ack("a", a, &durable(150)).unwrap();
        let error = waiter.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
    });
    // A second sync would succeed, and prove nothing.
    assert_eq!(kind(primary.ack("a", a, &durable(160))), ErrorKind::Failed);
    assert_eq!(kind(primary.prune(None)), ErrorKind::Failed);
    drop(primary);
    assert_eq!(
        valid(&site.after(site.disk.crash_nothing()).open().unwrap()),
        [("a".into(), 100)]
    );
}
