//! The simulated disk keeps what a disk must keep, and loses all that a disk
//! may lose.

use epochwal::storage::sim::{Call, FaultPlan, SECTOR, SimRng, SimStorage, is_power_cut};
use epochwal::storage::{File, OpenMode, Storage, write_all_at};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

fn path(name: &str) -> PathBuf {
    Path::new("/").join(name)
}

/// A durable file with these bytes.
fn durable(sim: &SimStorage, name: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = sim.open(&path(name), OpenMode::CreateNew).unwrap();
    write_all_at(&*file, bytes, 0, 1).unwrap();
    file.sync_all().unwrap();
    sim.sync_dir(Path::new("/")).unwrap();
    assert_eq!(sim.pending_count(), 0);
    file
}

/// A file's bytes; none where there is no file.
fn read(sim: &SimStorage, name: &str) -> Option<Vec<u8>> {
    let file = sim.open(&path(name), OpenMode::Read).ok()?;
    let mut bytes = vec![0; file.len().unwrap() as usize];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
    Some(bytes)
}

/// What every possible crash leaves of a file, as a text: a letter or digit
/// for each sector of one value, `?` for a mixed one, `-` for no file.
fn outcomes(sim: &SimStorage, name: &str) -> BTreeSet<String> {
    sim.crashes().map(|after| text(&after, name)).collect()
}

fn text(sim: &SimStorage, name: &str) -> String {
    let Some(bytes) = read(sim, name) else {
        return "-".into();
    };
    let letter = |sector: &[u8]| match sector {
        [0, rest @ ..] if rest.iter().all(|b| *b == 0) => '0',
        [first, rest @ ..] if rest.iter().all(|b| b == first) => char::from(*first),
        _ => '?',
    };
    bytes.chunks(SECTOR).map(letter).collect()
}

/// Whole sectors, one for each letter.
fn sectors(letters: &str) -> Vec<u8> {
    letters.bytes().flat_map(|b| [b; SECTOR]).collect()
}

fn set<const N: usize>(texts: [&str; N]) -> BTreeSet<String> {
    texts.map(str::to_owned).into()
}

/// Aligned room for one block, filled with a letter.
#[repr(align(4096))]
struct Block([u8; 4096]);

#[test]
fn every_subset_of_unsynced_sectors_may_survive() {
    let sim = SimStorage::new();
    let file = durable(&sim, "f", &sectors("aaa"));
    file.write_at(&sectors("bb"), 0).unwrap();
    file.write_at(&sectors("c"), 512).unwrap();
    let expected = ["aaa", "aba", "aca", "baa", "bba", "bca"];
    assert_eq!(outcomes(&sim, "f"), set(expected));
    assert_eq!(text(&sim, "f"), "bca", "the cache has it all");
    assert_eq!(text(&sim.crash_nothing(), "f"), "aaa");
    assert_eq!(text(&sim.crash_everything(), "f"), "bca");
    assert_eq!(sim.pending_count(), 2);
    assert_eq!(text(&sim.crash_bits(0b10), "f"), "aca");
    let random: BTreeSet<_> = (0..200).map(|s| text(&sim.crash_random(s), "f")).collect();
    assert_eq!(random, set(expected));
}

#[test]
fn a_sector_is_never_torn_but_a_write_across_two_is() {
    let sim = SimStorage::new();
    let file = durable(&sim, "f", &sectors("aa"));
    file.write_at(&[b'b'; 512], 256).unwrap();
    assert_eq!(outcomes(&sim, "f"), set(["aa", "?a", "a?", "??"]));
}

#[test]
fn what_is_synced_never_vanishes() {
    for whole in [false, true] {
        let sim = SimStorage::new();
        let file = durable(&sim, "f", b"");
        file.write_at(&sectors("abc"), 0).unwrap();
        if whole {
            file.sync_all()
        } else {
            file.sync_data()
        }
        .unwrap();
        assert_eq!(outcomes(&sim, "f"), set(["abc"]));
        drop(file);
        assert_eq!(outcomes(&sim, "f"), set(["abc"]));
    }
}

#[test]
fn a_close_syncs_nothing() {
    let sim = SimStorage::new();
    durable(&sim, "f", &sectors("a"))
        .write_at(&sectors("b"), 0)
        .unwrap();
    assert_eq!(text(&sim, "f"), "b");
    assert_eq!(
        text(&sim.snapshot(), "f"),
        "b",
        "a killed process loses nothing"
    );
    assert_eq!(outcomes(&sim, "f"), set(["a", "b"]));
    assert_eq!(outcomes(&sim.snapshot(), "f"), set(["a", "b"]));
}

#[test]
fn sizes_and_bytes_are_kept_apart() {
    let sim = SimStorage::new();
    let file = durable(&sim, "f", &sectors("a"));
    file.write_at(&sectors("b"), 512).unwrap();
    assert_eq!(outcomes(&sim, "f"), set(["a", "a0", "ab"]));
    file.sync_data().unwrap();
    file.set_len(512).unwrap();
    assert_eq!(outcomes(&sim, "f"), set(["a", "a0", "ab"]));
    file.sync_data().unwrap();
    assert_eq!(outcomes(&sim, "f"), set(["a"]));
    file.set_len(700).unwrap();
    file.sync_data().unwrap();
    assert_eq!(read(&sim.crash_nothing(), "f").unwrap()[512..], [0; 188]);
}

#[test]
fn a_size_too_is_in_doubt_after_a_failed_sync() {
    let sim = SimStorage::new();
    let file = durable(&sim, "f", &sectors("a"));
    file.write_at(&sectors("b"), 512).unwrap();
    sim.fail(FaultPlan::error(Call::SyncAll, libc::EIO));
    file.sync_all().unwrap_err();
    file.sync_all().unwrap();
    assert_eq!(outcomes(&sim, "f"), set(["a", "a0", "ab"]));
}

#[test]
fn bytes_beyond_the_size_that_survived_are_gone() {
    let sim = SimStorage::new();
    let file = durable(&sim, "f", &[b'a'; 100]);
    file.write_at(&[b'b'; 1000], 100).unwrap();
    // The size is asked for first; here it alone is lost.
    let after = sim.crash_bits(!1);
    assert_eq!(read(&after, "f").unwrap(), [b'a'; 100]);
    let file = after.open(&path("f"), OpenMode::Write).unwrap();
    file.set_len(1100).unwrap();
    assert_eq!(read(&after, "f").unwrap()[100..], [0; 1000]);
}

#[test]
fn a_name_needs_the_directory_synced() {
    let sim = SimStorage::new();
    let file = sim.open(&path("f"), OpenMode::CreateNew).unwrap();
    file.write_at(&sectors("a"), 0).unwrap();
    file.sync_all().unwrap();
    assert_eq!(outcomes(&sim, "f"), set(["-", "a"]));
    file.write_at(&sectors("b"), 0).unwrap();
    sim.sync_dir(Path::new("/")).unwrap();
    assert_eq!(
        outcomes(&sim, "f"),
        set(["a", "b"]),
        "a name syncs no bytes"
    );
    sim.remove(&path("f")).unwrap();
    assert_eq!(text(&sim, "f"), "-");
    assert_eq!(outcomes(&sim, "f"), set(["a", "b", "-"]));
    sim.sync_dir(Path::new("/")).unwrap();
    assert_eq!(outcomes(&sim, "f"), set(["-"]));
    assert_eq!(sim.pending_count(), 0, "nothing leads to it");
}

#[test]
fn another_directory_s_sync_does_not_count() {
    let sim = SimStorage::new();
    sim.make_dirs(Path::new("/d"));
    sim.open(&path("f"), OpenMode::CreateNew).unwrap();
    sim.sync_dir(Path::new("/d")).unwrap();
    assert_eq!(outcomes(&sim, "f"), set(["-", ""]));
}

/// What every crash leaves of two files.
fn pairs(sim: &SimStorage) -> BTreeSet<String> {
    let both = |s: SimStorage| format!("{} {}", text(&s, "f"), text(&s, "g"));
    sim.crashes().map(both).collect()
}

#[test]
fn a_rename_is_either_or() {
    let sim = SimStorage::new();
    durable(&sim, "f", &sectors("a"));
    durable(&sim, "g", &sectors("b"));
    sim.rename(&path("f"), &path("g")).unwrap();
    assert_eq!(pairs(&sim), set(["a b", "- a"]));
    sim.sync_dir(Path::new("/")).unwrap();
    assert_eq!(pairs(&sim), set(["- a"]));
}

#[test]
fn a_file_never_has_two_names() {
    let sim = SimStorage::new();
    let file = sim.open(&path("f"), OpenMode::CreateNew).unwrap();
    file.write_at(&sectors("a"), 0).unwrap();
    file.sync_all().unwrap();
    sim.rename(&path("f"), &path("x")).unwrap();
    sim.rename(&path("x"), &path("g")).unwrap();
    let both = pairs(&sim);
    // "- -": nothing survived, or it is called x.
    assert_eq!(both, set(["- -", "a -", "- a"]));
}

#[test]
fn after_a_failed_sync_a_second_one_proves_nothing() {
    for errno in [libc::EIO, libc::ENOSPC] {
        let sim = SimStorage::new();
        let file = durable(&sim, "f", &sectors("aa"));
        file.write_at(&sectors("bb"), 0).unwrap();
        let fault = sim.fail(FaultPlan::error(Call::SyncData, errno).on("f"));
        let error = file.sync_data().unwrap_err();
        assert_eq!((error.raw_os_error(), fault.hits()), (Some(errno), 1));
        file.sync_data().unwrap();
        file.sync_all().unwrap();
        assert_eq!(text(&sim, "f"), "bb", "still in the cache");
        assert_eq!(outcomes(&sim, "f"), set(["aa", "ab", "ba", "bb"]));
        // Only writing again, the same bytes even, and a sync help.
        file.write_at(&sectors("b"), 0).unwrap();
        file.sync_data().unwrap();
        assert_eq!(outcomes(&sim, "f"), set(["ba", "bb"]));
    }
}

#[test]
fn an_interrupted_sync_may_be_tried_again() {
    let sim = SimStorage::new();
    let file = durable(&sim, "f", &sectors("a"));
    file.write_at(&sectors("b"), 0).unwrap();
    sim.fail(FaultPlan::error(Call::SyncData, libc::EINTR));
    file.sync_data().unwrap_err();
    assert_eq!(outcomes(&sim, "f"), set(["a", "b"]));
    file.sync_data().unwrap();
    assert_eq!(outcomes(&sim, "f"), set(["b"]));
}

#[test]
fn after_a_failed_directory_sync_a_second_one_proves_nothing() {
    let sim = SimStorage::new();
    sim.open(&path("f"), OpenMode::CreateNew).unwrap();
    sim.fail(FaultPlan::error(Call::SyncDir, libc::EIO));
    sim.sync_dir(Path::new("/")).unwrap_err();
    sim.open(&path("g"), OpenMode::CreateNew).unwrap();
    sim.sync_dir(Path::new("/")).unwrap();
    assert_eq!(pairs(&sim), set(["- ", " "]), "f in doubt, g durable");
}

#[test]
fn a_direct_write_is_durable_without_its_size_and_name() {
    let sim = SimStorage::new();
    let made = sim.open(&path("f"), OpenMode::CreateNew).unwrap();
    made.set_len(4096).unwrap();
    made.sync_all().unwrap();
    let direct = sim.open(&path("f"), OpenMode::DirectSync).unwrap();
    direct.write_at(&Block([b'b'; 4096]).0, 0).unwrap();
    assert_eq!(outcomes(&sim, "f"), set(["-", "bbbbbbbb"]));
    sim.sync_dir(Path::new("/")).unwrap();
    direct.write_at(&Block([b'c'; 4096]).0, 4096).unwrap();
    assert_eq!(outcomes(&sim, "f"), set(["bbbbbbbb", "bbbbbbbbcccccccc"]));
    sim.refuse_direct(true);
    let refused = sim.open(&path("f"), OpenMode::DirectSync).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EINVAL));
}

#[test]
fn a_direct_write_tears_while_under_way_and_when_it_fails() {
    let sim = SimStorage::new();
    durable(&sim, "f", &sectors("aaaaaaaa"));
    let states = Arc::new(Mutex::new(Vec::new()));
    let seen = states.clone();
    sim.on_operation(move |state, _| seen.lock().unwrap().push(state));
    let direct = sim.open(&path("f"), OpenMode::DirectSync).unwrap();
    direct.write_at(&Block([b'b'; 4096]).0, 0).unwrap();
    assert_eq!(sim.pending_count(), 0);
    sim.fail(FaultPlan::error(Call::Write, libc::EIO));
    direct.write_at(&Block([b'c'; 4096]).0, 0).unwrap_err();
    direct.sync_data().unwrap();
    let states = states.lock().unwrap();
    assert_eq!(states.len(), 3);
    assert_eq!(outcomes(&states[0], "f").len(), 256);
    assert!(outcomes(&states[0], "f").contains("abbabaab"));
    assert_eq!(outcomes(&sim, "f").len(), 256, "failed: in doubt for good");
    assert!(outcomes(&sim, "f").contains("bbccbbbb"));
}

#[test]
fn full_and_interrupted_writes_leave_nothing() {
    for errno in [libc::ENOSPC, libc::EINTR] {
        let sim = SimStorage::new();
        durable(&sim, "f", &sectors("aaaaaaaa"));
        sim.fail(FaultPlan::error(Call::Write, errno).always());
        for mode in [OpenMode::Write, OpenMode::DirectSync] {
            let file = sim.open(&path("f"), mode).unwrap();
            let error = file.write_at(&Block([b'b'; 4096]).0, 0).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(errno));
        }
        assert_eq!(sim.pending_count(), 0);
        assert_eq!(text(&sim, "f"), "aaaaaaaa");
    }
}

#[test]
fn plans_hit_the_calls_they_name() {
    let sim = SimStorage::new();
    let f = durable(&sim, "f", &sectors("aa"));
    let g = durable(&sim, "g", &sectors("aa"));
    let plan = FaultPlan::short(Call::Write, 512).on("f").nth(2).times(2);
    let fault = sim.fail(plan);
    let write = |file: &Arc<dyn File>| file.write_at(&sectors("bb"), 0).unwrap();
    let lens = [write(&f), write(&g), write(&f), write(&f), write(&f)];
    assert_eq!((lens, fault.hits()), ([1024, 1024, 512, 512, 1024], 2));
    sim.fail(FaultPlan::short(Call::Read, 3));
    assert_eq!(f.read_at(&mut [0; 10], 0).unwrap(), 3);
    assert_eq!(f.read_at(&mut [0; 10], 0).unwrap(), 10);

    let all = [
        Call::Open,
        Call::Rename,
        Call::Remove,
        Call::List,
        Call::Read,
    ];
    let more = [
        Call::SyncAll,
        Call::Len,
        Call::SetLen,
        Call::Lock,
        Call::Resolve,
    ];
    for call in all.into_iter().chain(more) {
        sim.clear_faults();
        let fault = sim.fail(FaultPlan::error(call, libc::EIO).always());
        let before = sim.calls(call);
        let error = match call {
            Call::Open => sim.open(&path("new"), OpenMode::CreateNew).err(),
            Call::Rename => sim.rename(&path("g"), &path("f")).err(),
            Call::Remove => sim.remove(&path("g")).err(),
            Call::List => sim.list(Path::new("/")).err(),
            Call::Read => f.read_at(&mut [0], 0).err(),
            Call::SyncAll => f.sync_all().err(),
            Call::Len => f.len().err(),
            Call::SetLen => f.set_len(0).err(),
            Call::Resolve => sim.resolve(&path("f")).err(),
            _ => f.is_locked(0, 0).err(),
        };
        let code = error.and_then(|e| e.raw_os_error());
        assert_eq!(code, Some(libc::EIO), "{call:?}");
        assert_eq!((fault.hits(), sim.calls(call) - before), (1, 1), "{call:?}");
        fault.lift();
        assert_eq!(text(&sim, "f"), "bb", "{call:?} changes nothing");
        assert_eq!(text(&sim, "g"), "bb", "{call:?} changes nothing");
        assert_eq!(text(&sim, "new"), "-", "{call:?} changes nothing");
    }
}

#[test]
fn a_full_disk_takes_overwrites_only() {
    let sim = SimStorage::new();
    let f = durable(&sim, "f", &sectors("aa"));
    let g = durable(&sim, "g", b"");
    sim.set_capacity(Some(3 * 512));
    assert_eq!(f.write_at(&sectors("bb"), 0).unwrap(), 1024);
    assert_eq!(g.write_at(&sectors("bb"), 0).unwrap(), 512, "what fits");
    let error = g.write_at(&sectors("b"), 512).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
    f.set_len(512).unwrap();
    assert_eq!(g.write_at(&sectors("b"), 512).unwrap(), 512);
    sim.remove(&path("g")).unwrap();
    drop(g);
    sim.sync_dir(Path::new("/")).unwrap();
    assert_eq!(f.write_at(&sectors("cccc"), 0).unwrap(), 3 * 512);
    sim.set_capacity(None);
    assert_eq!(f.write_at(&sectors("cccc"), 0).unwrap(), 4 * 512);
}

#[test]
fn the_power_goes_at_the_operation_named() {
    // 1 create, 2 write, 3 sync, 4 sync_dir, 5 write, 6 sync, 7 rename, 8 sync_dir
    let run = |cut: u64| {
        let sim = SimStorage::new();
        sim.cut_power_at(cut);
        let work = || -> std::io::Result<()> {
            let file = sim.open(&path("f"), OpenMode::CreateNew)?;
            file.write_at(&sectors("a"), 0)?;
            file.sync_data()?;
            sim.sync_dir(Path::new("/"))?;
            file.write_at(&sectors("b"), 0)?;
            file.sync_data()?;
            sim.rename(&path("f"), &path("g"))?;
            sim.sync_dir(Path::new("/"))
        };
        let result = work();
        assert_eq!(result.as_ref().is_err_and(is_power_cut), cut <= 8);
        let dead = sim.list(Path::new("/")).is_err_and(|e| is_power_cut(&e));
        assert_eq!(dead, cut <= 8);
        assert_eq!(sim.operations(), cut.min(8));
        pairs(&sim)
    };
    assert_eq!(run(1), set(["- -", " -"]));
    // An empty file, zeros, or the bytes.
    assert_eq!(run(2), set(["- -", " -", "0 -", "a -"]));
    assert_eq!(run(3), run(2));
    assert_eq!(run(4), set(["- -", "a -"]));
    assert_eq!(run(5), set(["a -", "b -"]));
    assert_eq!(run(6), run(5));
    assert_eq!(run(7), set(["b -", "- b"]));
    assert_eq!(run(8), run(7));
    assert_eq!(run(9), set(["- b"]));
}

#[test]
fn gates_hold_calls_up() {
    let sim = SimStorage::new();
    let file = durable(&sim, "f", &sectors("a"));
    let gate = sim.block_on_path(Call::Write, "f");
    durable(&sim, "g", b"passes");
    std::thread::scope(|scope| {
        scope.spawn(|| file.write_at(&sectors("b"), 0).unwrap());
        gate.wait_blocked();
        assert_eq!(gate.blocked(), 1);
        assert_eq!(text(&sim, "f"), "a", "reads go on, the write has not begun");
        gate.open();
    });
    assert_eq!(text(&sim, "f"), "b");
    drop(sim.block_on(Call::Write));
    file.write_at(&sectors("c"), 0).unwrap();
}

#[test]
fn crashes_leave_machines_that_crash_again() {
    let sim = SimStorage::new();
    let file = durable(&sim, "f", &sectors("aa"));
    assert!(
        file.try_lock(epochwal::storage::LockMode::Exclusive, 0, 0)
            .unwrap()
    );
    file.write_at(&sectors("bb"), 0).unwrap();
    let after = sim.crash_bits(1);
    assert_eq!(after.pending_count(), 0);
    let file = after.open(&path("f"), OpenMode::Write).unwrap();
    assert!(!file.is_locked(0, 0).unwrap());
    file.write_at(&sectors("c"), 512).unwrap();
    assert_eq!(outcomes(&after, "f"), set(["ba", "bc"]));
    assert_eq!(text(&sim, "f"), "bb");
}

/// Threads append to files of their own and sync; at each operation of any
/// of them every file has at least what its thread knew to be durable.
#[test]
fn what_threads_knew_durable_is_in_every_later_state() {
    const THREADS: usize = 4;
    let sim = SimStorage::new();
    let known: Arc<[AtomicU64; THREADS]> = Arc::default();
    let checked = Arc::new(AtomicU64::new(0));
    let files: Vec<_> = (0..THREADS)
        .map(|i| durable(&sim, &i.to_string(), b""))
        .collect();
    let (acked, counter) = (known.clone(), checked.clone());
    sim.on_operation(move |state, number| {
        let after = state.crash_random(number);
        for (i, acked) in acked.iter().enumerate() {
            let bytes = read(&after, &i.to_string()).unwrap();
            let acked = acked.load(Ordering::SeqCst) as usize;
            assert!(bytes.len() >= acked, "{} of {acked} bytes", bytes.len());
            assert!(bytes[..acked].iter().all(|b| *b == b'x'));
        }
        counter.fetch_add(1, Ordering::SeqCst);
    });
    std::thread::scope(|scope| {
        for (i, file) in files.iter().enumerate() {
            let known = known.clone();
            scope.spawn(move || {
                let mut rng = SimRng::new(i as u64);
                let mut end = 0;
                for _ in 0..50 {
                    let len = 1 + rng.below(2000) as usize;
                    write_all_at(&**file, &vec![b'x'; len], end, 1).unwrap();
                    end += len as u64;
                    if rng.chance(1, 2) {
                        file.sync_data().unwrap();
                        known[i].store(end, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    // Before it watched, each file took three: create, sync, sync_dir.
    let watched = sim.operations() - 3 * THREADS as u64;
    assert_eq!(checked.load(Ordering::SeqCst), watched);
}

#[test]
fn equal_seeds_crash_alike() {
    let sim = SimStorage::new();
    let file = durable(&sim, "f", &sectors("aaaaaaaaaaaaaaaa"));
    file.write_at(&sectors("bbbbbbbbbbbbbbbb"), 0).unwrap();
    let of = |seed| text(&sim.crash_random(seed), "f");
    for seed in 0..20 {
        assert_eq!(of(seed), of(seed));
    }
    let different: BTreeSet<_> = (0..20).map(of).collect();
    assert!(different.len() > 10);
    assert_eq!(SimRng::new(7).next_u64(), 0x63CB_E1E4_5932_0DD7);
}

#[test]
fn a_read_only_disk_takes_no_change() {
    let sim = SimStorage::new();
    let file = durable(&sim, "f", &sectors("a"));
    sim.set_read_only(true);
    let refused = [
        file.write_at(&sectors("b"), 0).map(drop),
        file.set_len(0),
        sim.rename(&path("f"), &path("g")),
        sim.remove(&path("f")),
        sim.open(&path("f"), OpenMode::Write).map(drop),
        sim.open(&path("g"), OpenMode::CreateNew).map(drop),
    ];
    for result in refused {
        let error = result.expect_err("the disk is read-only");
        assert_eq!(error.raw_os_error(), Some(libc::EROFS));
    }
    assert_eq!(text(&sim, "f"), "a", "reads go on");
    sim.set_read_only(false);
    file.write_at(&sectors("b"), 0).unwrap();
    assert_eq!(text(&sim, "f"), "b");
}

#[test]
fn a_listener_hears_each_call_before_the_observer() {
    let sim = SimStorage::new();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (calls, operations) = (heard.clone(), heard.clone());
    sim.on_call(move |call, paths| {
        let names: Vec<_> = paths.iter().map(|p| p.display().to_string()).collect();
        calls
            .lock()
            .unwrap()
            .push(format!("{call:?} {}", names.join(" ")));
    });
    sim.on_operation(move |_, n| operations.lock().unwrap().push(n.to_string()));
    let file = sim.open(&path("f"), OpenMode::CreateNew).unwrap();
    file.len().unwrap();
    sim.fail(FaultPlan::error(Call::Rename, libc::EIO));
    sim.rename(&path("f"), &path("g")).unwrap_err();
    sim.stop_observing();
    file.sync_all().unwrap();
    let heard = heard.lock().unwrap();
    assert_eq!(*heard, ["Open /f", "1", "Len /f", "Rename /f /g", "2"]);
}
