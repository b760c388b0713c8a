//! Each call of a workload, failing in each way it can.

use super::ways::{Covered, Way, ways};
use super::workload::{Workload, options};
use epochwal::coordinator::{SyncPolicy, SyncStyle};
use epochwal::storage::sim::Call;
use epochwal::{ErrorKind, Options};

/// What a caller may be told when `call` fails in this way.
fn allowed(what: &str, call: Call, way: Way) -> Vec<ErrorKind> {
    use ErrorKind::{Failed, Io, NoMemory, NoSpace, OutcomeUnknown, Unsupported};
    let syncs = matches!(call, Call::SyncDir | Call::SyncData | Call::SyncAll);
    if way.is_absorbed(call) {
        return vec![];
    }
    let mut kinds = match (way.is_no_space(), syncs) {
        // "No space" from a sync is a failed sync, but of a file that is not
        // in use yet and is thrown away.
        (true, true) => vec![NoSpace, Io, Failed, OutcomeUnknown],
        (true, false) => vec![NoSpace],
        (false, _) if way.is_passing() && !syncs => vec![Io, NoMemory],
        // Heals, but for version 1.
        (false, _) if way.is_passing() && call == Call::SyncDir => {
            vec![Io, Failed, OutcomeUnknown]
        }
        (false, _) => match what {
            "open" => vec![Io],
            "submit" => vec![Failed],
            "wait" => vec![OutcomeUnknown, Failed],
            _ => vec![Io, Failed, OutcomeUnknown],
        },
    };
    if what == "open" {
        // The probe for direct writes says what the file system refused.
        kinds.push(Unsupported);
    }
    kinds
}

fn configurations() -> Vec<Options> {
    let buffered = options(SyncStyle::Buffered, 2);
    vec![
        options(SyncStyle::Direct, 2),
        buffered.clone(),
        options(SyncStyle::Buffered, 1),
        Options {
            sync_policy: SyncPolicy::Normal,
            ..buffered
        },
    ]
}

#[test]
fn every_call_of_a_workload_fails_in_every_way() {
    let covered = Covered::default();
    let mut runs = 0;
    for options in configurations() {
        let mut whole = Workload::of(options.clone());
        whole.run().expect("nothing fails");
        assert_eq!(whole.errors, []);
        for call in Call::ALL {
            for way in ways(call) {
                for n in 1..=whole.disk.calls(call) {
                    if one(&options, call, *way, n) {
                        covered.note(call, *way);
                    }
                    runs += 1;
                }
            }
        }
    }
    println!("{runs} workloads with a call that fails");
    covered.require_all_but(&[]);
    assert!(runs > 8_000, "{runs}");
}

/// Runs the workload with one failure; whether it was met.
fn one(options: &Options, call: Call, way: Way, n: u64) -> bool {
    let mut workload = Workload::of(options.clone());
    let fault = way.lay(&workload.disk, call, n);
    workload.watch(call, fault.clone());
    let ran = workload.run().and_then(|()| workload.crash());
    let text = format!(
        "{call:?} {n} {way:?}, {:?} {:?} format {}",
        options.sync_style, options.sync_policy, options.segment_format
    );
    if let Err(why) = ran {
        panic!("{text}: {why} (errors seen: {:?})", workload.errors);
    }
    for (what, kind) in workload.errors {
        let allowed = allowed(what, call, way);
        assert!(
            allowed.contains(&kind),
            "{text}: {what} says {kind:?}, not one of {allowed:?}"
        );
    }
    fault.hits() > 0
}
