//! Writes the corpus's seeds: `cargo run --example seeds` in this directory.
//!
//! They come from the golden segments and from logs that the library writes
//! here, on the simulated disk, in each shape: closed, killed, retired, reused,
//! in both versions; and from each with some bytes changed. Log identities
//! are random, so that the bytes differ from run to run.

use epochwal::coordinator::{EpochInterval, Sequencing, SyncStyle};
use epochwal::format::group::{
    BLOCK, CertificateFlags, GROUP_HEADER, GroupHeader, GroupKind, LaneCounts, Summary, seal,
};
use epochwal::format::item::encode_void;
use epochwal::format::rdlw::{self, Layout, Record as RdlwRecord};
use epochwal::format::record::{Record, encode_record, record_len};
use epochwal::format::state::State;
use epochwal::storage::sim::{SimRng, SimStorage};
use epochwal::{Batch, Coordinator, Frame, Options};
use epochwal_fuzz::image::{self, FIX, Files, LINK, RESEAL, database, files_of};
use epochwal_fuzz::{fix, group, log};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MUTANTS: u64 = 4;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    let dir = root().join("corpus").join(target);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(name), bytes).unwrap();
}

/// A seed, and some of its neighbours.
fn with_mutants(target: &str, name: &str, bytes: &[u8]) {
    write(target, name, bytes);
    let mut rng = SimRng::new(bytes.len() as u64);
    for n in 0..MUTANTS {
        let mut mutant = bytes.to_vec();
        for _ in 0..=n {
            let at = rng.next_u64() as usize % mutant.len();
            mutant[at] = [0, 0xff, mutant[at] ^ 1, mutant[at].wrapping_add(1)][n as usize];
        }
        write(target, &format!("{name}-mutant-{n}"), &mutant);
    }
}

#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    commits: u64,
    checkpoint_every: u64,
    close: bool,
    format: u32,
    assign: bool,
}

const SHAPES: [Shape; 7] = {
    let plain = Shape {
        name: "closed",
        commits: 5,
        checkpoint_every: 0,
        close: true,
        format: 2,
        assign: false,
    };
    [
        plain,
        Shape {
            name: "killed",
            close: false,
            ..plain
        },
        Shape {
            name: "empty",
            commits: 0,
            ..plain
        },
        Shape {
            name: "assigned",
            assign: true,
            ..plain
        },
        Shape {
            name: "reused",
            commits: 11,
            checkpoint_every: 3,
            ..plain
        },
        Shape {
            name: "one",
            commits: 3,
            format: 1,
            ..plain
        },
        Shape {
            name: "one-retired",
            commits: 4,
            checkpoint_every: 2,
            format: 1,
            close: false,
            ..plain
        },
    ]
};

fn run(disk: &SimStorage, shape: Shape, first: u64) {
    let options = Options {
        slot_count: 2,
        epoch_interval: EpochInterval::Off,
        segment_size: 16 << 10,
        segment_format: shape.format,
        sync_style: SyncStyle::Buffered,
        sequencing: if shape.assign {
            Sequencing::Coordinator
        } else {
            Sequencing::Caller
        },
        ..Options::default()
    };
    let wal = Coordinator::open_on(Arc::new(disk.clone()), &database(), &options).unwrap();
    for n in first..first + shape.commits {
        let data = [n as u8; 40];
        let frames = [1, 2].map(|page| Frame {
            page_number: page + n as u32 % 3,
            db_size_if_commit: if page == 2 { 9 } else { 0 },
            data: &data[..n as usize % 40 + 1],
        });
        let batch = Batch {
            txn_id: n,
            txn_epoch: 1,
            commit_seq: if shape.assign { 0 } else { n },
            frames: &frames[..1 + n as usize % 2],
            metadata: &data[..n as usize % 4],
        };
        let ticket = wal.commit(&batch, None).unwrap();
        if shape.checkpoint_every != 0 && n % shape.checkpoint_every == 0 {
            wal.checkpoint(ticket.epoch).unwrap();
        }
    }
    if shape.close {
        wal.close(None).unwrap();
    } else {
        // The handle lives on, the machine below is another one by then.
        std::mem::forget(wal);
    }
}

fn log_of(shapes: &[Shape]) -> Files {
    let mut disk = SimStorage::new();
    disk.make_dirs(Path::new(image::DIR));
    for (n, shape) in shapes.iter().enumerate() {
        run(&disk, *shape, 1 + 20 * n as u64);
        disk = disk.snapshot();
    }
    files_of(&disk)
}

fn parts(name: &str, files: &Files) {
    for (file, bytes) in files {
        let file = file.to_str().unwrap();
        if file.ends_with("-wal-state") {
            write("state", name, &[&[0], &bytes[..128]].concat());
            with_mutants(
                "twice",
                &format!("{name}-state"),
                &[&[6], &bytes[..128]].concat(),
            );
            with_mutants(
                "state",
                &format!("{name}-fixed"),
                &[&[1], &bytes[..128]].concat(),
            );
            continue;
        }
        if !file.contains("-wal-seg-") {
            continue;
        }
        if fix::u32_at(bytes, 4) & 0xffff == 1 {
            with_mutants(
                "v1",
                &format!("{name}-{}", &file[file.len() - 2..]),
                &[&[3], &bytes[..]].concat(),
            );
            continue;
        }
        let mut at = 0;
        while at < bytes.len() && fix::has_magic(&bytes[at..]) {
            let Some((length, _)) = fix::extent(&bytes[at..]) else {
                break;
            };
            let found = &bytes[at..at + length];
            let place = format!("{name}-{}-{at}", &file[file.len() - 2..]);
            write("group", &place, &group::pack(0, found));
            if at == 0 {
                with_mutants("group", &format!("{place}-fixed"), &group::pack(1, found));
                with_mutants("group", &format!("{place}-sealed"), &group::pack(3, found));
                for way in [0, 4, 8] {
                    with_mutants("twice", &format!("{place}-{way}"), &group::pack(way, found));
                }
            }
            at += length;
        }
    }
}

fn logs() {
    let mut all: Vec<(String, Files)> = SHAPES
        .iter()
        .map(|shape| (shape.name.to_owned(), log_of(&[*shape])))
        .collect();
    all.push(("one-then-two".into(), log_of(&[SHAPES[5], SHAPES[0]])));
    all.push(("two-then-one".into(), log_of(&[SHAPES[1], SHAPES[5]])));
    all.push(("killed-then-closed".into(), log_of(&[SHAPES[1], SHAPES[0]])));
    for (n, (name, files)) in all.iter().enumerate() {
        let way = [0, log::ONE, log::ASSIGN, log::DIRECT][n % 4];
        write("log", name, &image::pack(way, files));
        with_mutants(
            "log",
            &format!("{name}-fixed"),
            &image::pack(FIX | way, files),
        );
        let sealed = FIX | RESEAL | LINK | way;
        with_mutants(
            "log",
            &format!("{name}-sealed"),
            &image::pack(sealed, files),
        );
        let missing = files
            .iter()
            .filter(|(n, _)| !n.to_str().unwrap().ends_with("-wal-state"));
        let missing = missing.map(|(n, b)| (n.clone(), b.clone())).collect();
        write(
            "log",
            &format!("{name}-stateless"),
            &image::pack(way, &missing),
        );
        parts(name, files);
    }
}

/// Groups of records, and the state of a log of them.
fn records() {
    for (name, ids) in [
        ("one", &[(1, 1)][..]),
        ("terms", &[(1, 5), (1, 6), (3, 9), (4, u64::MAX - 1)]),
        ("disorder", &[(1, 5), (1, 5)]),
    ] {
        let found = group_of(ids);
        write("group", &format!("records-{name}"), &group::pack(0, &found));
        let sealed = format!("records-{name}-sealed");
        with_mutants("group", &sealed, &group::pack(3, &found));
        for way in [4, 8] {
            let way_name = format!("records-{name}-{way}");
            with_mutants("twice", &way_name, &group::pack(way, &found));
        }
    }
    let mut state = State::new(GroupKind::Records, [1; 16], [0; 16]);
    state.records.pruned_through = 7;
    for (term, first_lsn) in [(1, 5), (3, 9), (4, 200)] {
        let pushed = state.records.terms.push(term, first_lsn, 0);
        pushed.expect("ascending");
    }
    let copy = &state.encode()[..256];
    with_mutants("state", "records-fixed", &[&[1], copy].concat());
    with_mutants("twice", "records-state", &[&[6], copy].concat());
}

/// A void and these records, each (term, LSN), as a group of a log.
fn group_of(ids: &[(u64, u64)]) -> Vec<u8> {
    let mut payload = vec![0; 48];
    encode_void(&mut payload, 2, 0);
    for (term, lsn) in ids {
        let record = Record {
            term: *term,
            lsn: *lsn,
            timestamp_ms: 1_700_000_000_000,
            payload: &lsn.to_le_bytes()[..3],
        };
        let at = payload.len();
        payload.resize(at + record_len(3).expect("short"), 0);
        encode_record(&mut payload[at..], 1, &record);
    }
    let mut lanes = LaneCounts::default();
    let summary = Summary::walk(&payload, true, &mut lanes, |_, _| Ok(()));
    let summary = summary.expect("right items");
    let header = GroupHeader {
        epoch: 3,
        items: summary.items,
        kind: GroupKind::Records,
        link: 0,
        log_id: [1; 16],
        generation: 1,
        segment_epoch: 3,
        segment_size: 4 * BLOCK,
        position: 0,
        length: BLOCK,
        payload_len: payload.len() as u64,
        watermark: 2,
        previous_epoch: 2,
    };
    let mut out = vec![0; BLOCK as usize];
    out[GROUP_HEADER..GROUP_HEADER + payload.len()].copy_from_slice(&payload);
    seal(&mut out, &header, &summary, CertificateFlags::default(), 4);
    out
}

fn golden() {
    let golden = root().join("../tests/golden/pwal-v1");
    for dir in ["good", "damaged"] {
        for entry in fs::read_dir(golden.join(dir)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if !name.contains("-wal-seg-") {
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            let seed = name.replace(".db-wal-seg-000000000000000", "-");
            write("prelude", &seed, &bytes[..bytes.len().min(24)]);
            if bytes.len() < 8192 {
                write(
                    "v1",
                    &format!("golden-{seed}"),
                    &[&[2], &bytes[..]].concat(),
                );
                let fixed = [&[3], &bytes[..]].concat();
                with_mutants(
                    "twice",
                    &format!("golden-{seed}"),
                    &[&[7], &bytes[..]].concat(),
                );
                with_mutants("v1", &format!("golden-{seed}-fixed"), &fixed);
            }
        }
    }
}

fn names() {
    for (n, name) in [
        "db-wal-seg-000000000000000a",
        "db-wal-seg-000000000000000A",
        "db-wal-seg-0000000000000001.salvaged-3",
        "db-wal-state",
        "db-wal-lock",
        "db-wal-spare-18446744073709551615",
        "db-wal-spare-01",
        "db-wal-tmp-ffffffffffffffff",
        "x-wal-lock",
    ]
    .iter()
    .enumerate()
    {
        write(
            "names",
            &format!("name-{n}"),
            &[b"\x02db", name.as_bytes()].concat(),
        );
    }
    write("names", "nameless", b"\x02..db-wal-lock");
    write("names", "not-utf8", b"\x02\xff\xfe\xff\xfe-wal-lock");
}

fn abi() {
    let mut options = vec![1];
    options.extend_from_slice(&[0; 104]);
    write("abi_options", "defaults", &options);
    for (n, (at, value)) in [
        (4, 1),
        (8, 65_535),
        (12, 3),
        (24, 2),
        (28, 2),
        (32, 1000),
        (40, 4096),
        (80, 16_384),
    ]
    .iter()
    .enumerate()
    {
        let mut set = options.clone();
        set[1 + at..5 + at].copy_from_slice(&u32::to_le_bytes(*value));
        with_mutants("abi_options", &format!("field-{n}"), &set);
    }
    write("abi_options", "newer", &[&options[..], &[0; 32]].concat());
    write(
        "abi_options",
        "newer-set",
        &[&options[..], &[1; 8]].concat(),
    );
    write("abi_options", "garbage", &[0xff; 120]);
    write("abi_options", "short", &[0, 8, 0, 0, 0]);
    for flags in 0..9 {
        let recovery = [&[1][..], &[0; 4], &[flags, 0, 0, 0], &[0; 16]].concat();
        with_mutants("abi_recovery", &format!("flags-{flags}"), &recovery);
        let newer = [&recovery[..], &[0, 0, 0, flags]].concat();
        write("abi_recovery", &format!("newer-{flags}"), &newer);
    }
    for size in [0, 4, 23, 24, 25, 255] {
        let mode = [2 | (size & 0xfc)];
        write(
            "abi_recovery",
            &format!("size-{size}"),
            &[&mode[..], &[size, 0, 0, 0], &[0; 20]].concat(),
        );
    }
    for (mode, seq) in [(0u8, 1u64), (1, 0), (2, 1), (3, 0)] {
        let mut input = vec![mode];
        for n in 0..4u64 {
            let mut put = |bytes: &[u8]| input.extend_from_slice(bytes);
            put(&[0, 2]);
            put(&[3, 0, 0, 0]);
            put(&(n + 1).to_le_bytes());
            put(&(if seq == 0 { 0 } else { n + 1 }).to_le_bytes());
            put(&[0, 1]);
            put(&(n * 3).to_le_bytes());
            for page in 1..=2u32 {
                put(&page.to_le_bytes());
                put(&[n as u8, 0, 0, 0]);
                put(&[4, page as u8]);
                put(&(n * 16_000 + 1).to_le_bytes());
            }
        }
        with_mutants("abi_submit", &format!("mode-{mode}"), &input);
    }
}

fn abi_of_spools() {
    let spool = [&[1][..], &[0; 72]].concat();
    write("abi_spool_options", "spool", &spool);
    let both = [&[3][..], &[0; 64 + 72]].concat();
    write("abi_spool_options", "both", &both);
    write(
        "abi_spool_options",
        "primary",
        &[&[7][..], &[0; 64]].concat(),
    );
    let fields = [
        (4, 3),
        (8, 3),
        (12, 3),
        (16, 1),
        (24, 4096),
        (32, 1000),
        (48, 65_536),
    ];
    for (n, (at, value)) in fields.into_iter().enumerate() {
        let mut set = spool.clone();
        set[1 + at..5 + at].copy_from_slice(&u32::to_le_bytes(value));
        with_mutants("abi_spool_options", &format!("spool-{n}"), &set);
    }
    let fields = [
        (4, 4),
        (8, 1_000_000),
        (16, 1),
        (32, 1_000_000),
        (48, 50_000),
        (52, 1),
    ];
    for (n, (at, value)) in fields.into_iter().enumerate() {
        let mut set = both.clone();
        set[1 + at..5 + at].copy_from_slice(&u32::to_le_bytes(value));
        with_mutants("abi_spool_options", &format!("primary-{n}"), &set);
    }
    write("abi_spool_options", "garbage", &[0xff; 150]);
    for (mode, shape) in [
        (0u8, 0u8),
        (1, 0),
        (0x32, 32),
        (0x13, 96),
        (2, 128),
        (1, 128),
    ] {
        let mut input = vec![mode];
        for run in 0..4u64 {
            input.extend_from_slice(&[shape, 3]);
            if shape & 64 != 0 {
                (1..=3).for_each(|n| input.extend_from_slice(&(run * 10 + n).to_le_bytes()));
            }
            if shape & 128 != 0 {
                // A gap, then a run that has an LSN twice.
                input.extend_from_slice([&[1, 2, 1], &[1, 0, 1]][run as usize % 2]);
            }
            for n in 0..3u64 {
                input.extend_from_slice(&(n + 1).to_le_bytes());
                input.extend_from_slice(&[4, n as u8]);
                input.extend_from_slice(&(run * 9_000 + n).to_le_bytes());
            }
        }
        with_mutants("abi_append", &format!("shape-{shape}-{mode}"), &input);
    }
    // LSNs and terms that fall, behind a run that is taken.
    for (n, shape) in [8u8, 192].into_iter().enumerate() {
        let run = |shape: u8| [&[shape, 1][..], &[7; 8], &[4, 1], &[9; 8]].concat();
        let input = [&[0][..], &run(32), &run(0), &run(shape)].concat();
        with_mutants("abi_append", &format!("falls-{n}"), &input);
    }
}

/// A record of version 3 in its shorter layout; the target sums it.
fn record(term: u64, lsn: u64, payload: &[u8]) -> Vec<u8> {
    let record = RdlwRecord {
        term,
        lsn,
        timestamp: 1_700_000_000_000,
        payload,
    };
    let mut out = Vec::new();
    rdlw::encode(&record, &mut out).unwrap();
    out
}

/// The same in another layout, from that one's bytes.
fn older(layout: Layout, lsn: u64, payload: &[u8]) -> Vec<u8> {
    let new = record(1, lsn, payload);
    let (fields, rest) = (&new[5..29], &new[29..]);
    let (term, lsn, time) = (&fields[..8], &fields[8..16], &fields[16..]);
    let version = [layout.version()];
    let long = (payload.len() as u64).to_le_bytes();
    let parts: &[&[u8]] = match layout {
        Layout::One => &[lsn, &long, payload],
        Layout::Two => &[lsn, time, rest],
        Layout::Three33 => &[fields, rest],
        Layout::Three41 => &[term, &[7; 8], lsn, time, rest],
    };
    [&b"RDLW"[..], &version, &parts.concat()].concat()
}

fn record_files() {
    let three = [
        record(1, 1, b"one"),
        record(1, 2, b""),
        record(2, 9, b"nine"),
    ]
    .concat();
    let mixed = [
        older(Layout::One, 1, b"one"),
        older(Layout::Two, 2, b"two"),
        record(1, 3, b"three"),
        record(1, 4, b""),
    ];
    let longer = [1, 2, 3].map(|lsn| older(Layout::Three41, lsn, b"longer"));
    let nested = [
        record(1, 1, b"one"),
        record(1, 2, &record(1, 5, b"copy")),
        record(1, 3, b"three"),
    ]
    .concat();
    let falling = [record(2, 2, b"two"), record(1, 3, b"x"), record(2, 2, b"y")].concat();
    let swallowed = {
        let mut bytes = [1, 2, 3, 4].map(|lsn| record(1, lsn, b"12345")).concat();
        bytes[42 + 29] += 42;
        bytes
    };
    for (name, mode, bytes) in [
        ("three", 1, &three),
        ("mixed", 1, &mixed.concat()),
        ("longer", 3, &longer.concat()),
        ("nested", 1, &nested),
        ("falling", 1, &falling),
        ("swallowed", 0, &swallowed),
    ] {
        let input = [&[mode][..], bytes].concat();
        with_mutants("rdlw", name, &input);
        write("rdlw", &format!("{name}-torn"), &input[..input.len() - 3]);
    }
    let golden = root().join("../tests/golden/rdlw");
    for (name, file) in [
        ("doubles", "slots-as-doubles.rdb.logical.slots.json"),
        ("damaged", "slots-damaged.rdb.logical.slots.json"),
    ] {
        let bytes = fs::read(golden.join(file)).unwrap();
        with_mutants("slots_json", &format!("golden-{name}"), &bytes);
    }
    let written = br#"{"x":[{}],"slots":[{"id":"\u00e9","restart_lsn":18446744073709551615,
        "confirmed_lsn":1e3,"last_seen_at_unix_ms":0,"invalidation_reason":null,"y":-1.5}]}"#;
    with_mutants("slots_json", "extra", written);
    write("slots_json", "none", br#"{"slots": []}"#);
}

fn main() {
    record_files();
    logs();
    records();
    golden();
    names();
    abi();
    abi_of_spools();
}
