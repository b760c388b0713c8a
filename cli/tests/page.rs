//! `inspect --html`: one page that needs nothing else, right as markup whatever
//! the log is called, and small however long it is.

use epochwal::coordinator::{EpochInterval, SyncPolicy};
use epochwal::spool::{Record, Spool, SpoolOptions};
use epochwal::{Batch, Coordinator, Frame, Options};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[track_caller]
fn tool(code: i32, args: &[&str], db: &Path, options: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_epochwal"))
        .args(args)
        .arg(db)
        .args(options)
        .output()
        .expect("the tool starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    output
}

/// Draws the log, and checks what holds of every page.
#[track_caller]
fn page(args: &[&str], db: &Path, options: &[&str]) -> String {
    let dir = tempfile::tempdir().expect("tempdir");
    let file = dir.path().join("page.html");
    let file_text = file.to_string_lossy();
    let drawn = tool(0, args, db, &[&["--html", &*file_text], options].concat());
    assert_eq!(
        String::from_utf8_lossy(&drawn.stdout),
        format!("{file_text}: written\n")
    );
    let page = fs::read_to_string(&file).expect("a page");
    check_markup(&page);
    for foreign in [
        "<script", "http:", "https:", "src=", "href=", "url(", "@import",
    ] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    page
}

/// Each tag is closed, and in its order.
#[track_caller]
fn check_markup(page: &str) {
    let mut open = Vec::new();
    for piece in page.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("a tag that ends");
        assert!(
            !text.contains('>') || open.last() == Some(&"style"),
            "{piece}"
        );
        let name = tag.split([' ', '\n']).next().expect("a name");
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.ends_with('/') || name == "meta" || name == "!DOCTYPE" => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

fn options() -> Options {
    Options {
        epoch_interval: EpochInterval::Off,
        sync_policy: SyncPolicy::Normal,
        segment_size: 64 << 10,
        ..Options::default()
    }
}

/// Commits of one page each, an epoch each, all of one size.
fn commits(db: &Path, options: &Options, count: u64) {
    commits_of(db, options, count, |_| 1024);
}

/// Each of its own size.
fn commits_of(db: &Path, options: &Options, count: u64, size: impl Fn(u64) -> usize) {
    let wal = Coordinator::open(db, options).expect("open");
    for commit_seq in 1..=count {
        let data = vec![7; size(commit_seq)];
        let frames = [Frame {
            page_number: 1,
            db_size_if_commit: 1,
            data: &data,
        }];
        let batch = Batch {
            txn_id: commit_seq,
            txn_epoch: 0,
            commit_seq,
            frames: &frames,
            metadata: b"",
        };
        wal.commit(&batch, None).expect("commit");
    }
    wal.close(None).expect("close");
}

fn segments(db: &Path) -> Vec<PathBuf> {
    let name = format!(
        "{}-wal-seg-",
        db.file_name().expect("name").to_string_lossy()
    );
    let entries = fs::read_dir(db.parent().expect("a directory")).expect("list");
    let paths = entries.map(|entry| entry.expect("entry").path());
    let mut found: Vec<_> = paths
        .filter(|path| {
            let file = path.file_name().expect("name").to_string_lossy();
            file.starts_with(&name)
        })
        .collect();
    found.sort();
    found
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("read");
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("write");
}

fn count(page: &str, part: &str) -> usize {
    page.matches(part).count()
}

#[test]
fn a_page_shows_segments_groups_and_epochs() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = dir.path().join("app.db");
    commits_of(
        &db,
        &options(),
        40,
        |seq| if seq == 40 { 9000 } else { 1024 },
    );
    let page = page(&["inspect"], &db, &[]);
    for part in [
        "<b>40</b> groups",
        "<b>1 to 40</b> epochs",
        "<b>40</b> batches",
        "<b>40</b> frames",
        "badge clean",
        "Bytes of each epoch",
        "Batches of each epoch",
        "<title>epoch 39: 4,096 bytes</title>",
        "<title>epoch 40: 12,288 bytes</title>",
        "<span>20 KiB</span><span>10 KiB</span><span>0 B</span>",
        "1 batch in each of them",
        "<td>cleanly</td>",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(count(&page, "<figcaption title="), segments(&db).len());
    assert_eq!(count(&page, "class=\"group "), 40);
    assert!(count(&page, "<rect class=\"mark\"") >= 1);
    assert!(!page.contains("class=\"box"));
    assert!(!page.contains("rect class=\"corrupt\""));
}

#[test]
fn damage_is_drawn_where_it_is_with_what_lies_behind_it() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = dir.path().join("app.db");
    commits(&db, &options(), 40);
    let files = segments(&db);
    assert!(files.len() > 2);
    flip(&files[1], 4096 + 140);
    let damaged = page(&["inspect"], &db, &[]);
    let place = format!("{} at offset 4096: ", files[1].display());
    for part in [
        "badge corrupt",
        "class=\"box corrupt\"",
        place.as_str(),
        "epochwal recover --prefix",
    ] {
        assert!(damaged.contains(part), "{part}");
    }
    // From the second block of sixteen to the end.
    let red = "<rect class=\"corrupt\" x=\"62.50\" y=\"0.00\" width=\"937.50\"";
    assert_eq!(count(&damaged, red), 1);
    // And among the epochs, what was durable and is lost: 16 are left of 40.
    assert_eq!(
        count(&damaged, "<figcaption class=\"lost\">epochs 17 to 40 can"),
        2
    );
    assert_eq!(
        count(&damaged, "x=\"500.00\" y=\"0.00\" width=\"500.00\""),
        2
    );
    assert_eq!(
        count(
            &damaged,
            "width=\"1000.00\" height=\"24.00\"><title>not read"
        ),
        files.len() - 2
    );
}

#[test]
fn a_torn_tail_is_no_damage() {
    let dir = tempfile::tempdir().expect("tempdir");
    let live = dir.path().join("live");
    fs::create_dir(&live).expect("mkdir");
    let wal = Coordinator::open(&live.join("app.db"), &options()).expect("open");
    let frames = [Frame {
        page_number: 1,
        db_size_if_commit: 1,
        data: &[7; 1024],
    }];
    let batch = Batch {
        txn_id: 1,
        txn_epoch: 0,
        commit_seq: 1,
        frames: &frames,
        metadata: b"",
    };
    wal.commit(&batch, None).expect("commit");
    // As a crash leaves it.
    for entry in fs::read_dir(&live).expect("list") {
        let entry = entry.expect("entry");
        fs::copy(entry.path(), dir.path().join(entry.file_name())).expect("copy");
    }
    wal.close(None).expect("close");
    let db = dir.path().join("app.db");
    flip(&segments(&db)[0], 140);
    let page = page(&["inspect"], &db, &[]);
    assert!(page.contains("badge torn") && page.contains("The next open drops it"));
    assert_eq!(count(&page, "<rect class=\"torn\""), 1);
}

#[test]
fn nothing_of_a_path_is_markup() {
    let dir = tempfile::tempdir().expect("tempdir");
    let odd = dir.path().join("<script>alert('&amp;\")<b>");
    fs::create_dir(&odd).expect("mkdir");
    let db = odd.join("<i>.db");
    commits(&db, &options(), 20);
    flip(&segments(&db)[0], 140);
    let page = page(&["inspect"], &db, &[]);
    assert!(page.contains("&lt;script&gt;alert(&#39;&amp;amp;&quot;)&lt;b&gt;/&lt;i&gt;.db"));
}

#[test]
fn a_long_log_makes_no_long_page() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = dir.path().join("app.db");
    let unsynced = Options {
        sync_policy: SyncPolicy::Off,
        ..options()
    };
    let size = |seq| if seq % 100 == 0 { 9000 } else { 1024 };
    commits_of(&db, &unsynced, 2500, size);
    let files = segments(&db);
    assert!(files.len() > 150);
    let whole = page(&["inspect"], &db, &[]);
    assert!(whole.contains("<b>2,500</b> groups"));
    assert!(whole.len() < 600_000, "{} bytes", whole.len());
    assert_eq!(count(&whole, "class=\"segment\""), 100);
    let left_out = files.len() - 100;
    assert!(whole.contains(&format!("100 of them are drawn, {left_out} are not")));
    assert!(whole.contains("the newest 200; 2"));
    // Each epoch is in a column.
    assert!(whole.contains("epochs 1 to 10: ") && whole.contains("epochs 2491 to 2500: "));
    // Where it ends is drawn, however far back that is. Without syncs no group
    // says that another is durable, so it is torn.
    flip(&files[3], 4096 + 140);
    let torn = page(&["inspect"], &db, &[]);
    assert_eq!(count(&torn, "<rect class=\"torn\""), 1);
}

/// Groups that are too narrow are drawn as one, and none is left out.
#[test]
fn narrow_groups_are_drawn_together() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = dir.path().join("app.db");
    let large = Options {
        segment_size: 64 << 20,
        sync_policy: SyncPolicy::Off,
        ..options()
    };
    commits(&db, &large, 3000);
    let page = page(&["inspect"], &db, &[]);
    let drawn = count(&page, "class=\"group ");
    assert!(drawn < 3000, "{drawn}");
    let titles = page.split("<title>epochs ").skip(1).filter_map(|text| {
        let (range, groups) = text.split_once(" from offset ")?;
        let (_, groups) = groups.split_once(": ")?;
        let (groups, _) = groups.split_once(" groups")?;
        let (first, last) = range.split_once(" to ")?;
        let numbers = [first, last, groups].map(|n| n.parse::<u64>().expect("a number"));
        assert_eq!(numbers[1] - numbers[0] + 1, numbers[2], "{text}");
        Some(numbers[2])
    });
    let together: Vec<u64> = titles.collect();
    let alone = (drawn - together.len()) as u64;
    assert_eq!(together.iter().sum::<u64>() + alone, 3000);
}

#[test]
fn files_of_version_1_are_drawn_too() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = dir.path().join("app.db");
    let old = Options {
        segment_format: 1,
        ..options()
    };
    commits(&db, &old, 3);
    let page = page(&["inspect"], &db, &[]);
    assert_eq!(count(&page, "</b>, version 1, "), 3);
}

#[test]
fn a_spool_shows_its_records_over_time() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = dir.path().join("app.db");
    let spool = Spool::open(&db, &SpoolOptions::default()).expect("open");
    for lsn in 1..=30 {
        let record = Record {
            term: 1,
            lsn,
            timestamp_ms: 1_700_000_000_000 + lsn * 60_000,
            payload: b"payload",
        };
        spool.append(&[record], None).expect("append");
    }
    spool.close(None).expect("close");
    tool(0, &["spool", "prune"], &db, &["4"]);
    let page = page(&["spool", "inspect"], &db, &[]);
    for part in [
        "<b>30</b> records",
        "<b>5 to 30</b> readable LSNs",
        "Records over time",
        "2023-11-14T22:18:",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // And what a salvage has cost: the tenth record lies in the tenth block.
    let segment = fs::read_dir(dir.path()).expect("list").flatten();
    let mut segment = segment.filter(|e| e.file_name().to_string_lossy().contains("wal-seg-"));
    flip(&segment.next().expect("a segment").path(), 9 * 4096 + 10);
    tool(0, &["spool", "salvage"], &db, &[]);
    let page = self::page(&["spool", "inspect"], &db, &[]);
    assert!(page.contains("<b>lost in a salvage</b>: LSNs 10 to 30."));
    let missing = dir.path().join("none.db");
    tool(4, &["spool", "inspect"], &missing, &["--html", "x.html"]);
    assert!(!Path::new("x.html").exists());
}

#[test]
fn measured_latencies_are_drawn_and_what_is_none_is_refused() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = dir.path().join("app.db");
    commits(&db, &options(), 3);
    let measured = tool(
        0,
        &["bench"],
        dir.path(),
        &["--threads", "1,2", "--seconds", "0.02", "--json"],
    );
    let file = dir.path().join("bench.json");
    fs::write(&file, &measured.stdout).expect("write");
    let with = page(&["inspect"], &db, &["--bench", &file.to_string_lossy()]);
    for part in [
        "<th>write and sync</th>",
        "<th>commit, 1 thread</th>",
        "<th>commit, 2 threads</th>",
        "<span style=\"left:0%\">1 us</span>",
    ] {
        assert!(with.contains(part), "{part}");
    }
    assert_eq!(count(&with, "<path class=\"mark-at\""), 15);
    assert!(page(&["inspect"], &db, &[]).contains("A log does not say how long"));
    for text in ["{}", "no JSON"] {
        fs::write(&file, text).expect("write");
        let target = dir.path().join("page.html");
        let bench = file.to_string_lossy();
        let all = ["--html", &target.to_string_lossy(), "--bench", &bench];
        let refused = tool(64, &["inspect"], &db, &all);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("bench --json"));
        assert!(!target.exists());
    }
    tool(64, &["inspect"], &db, &["--bench", &file.to_string_lossy()]);
}

#[test]
fn no_file_of_a_log_is_written_over() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = dir.path().join("app.db");
    commits(&db, &options(), 3);
    let victim = segments(&db).remove(0);
    let before = fs::read(&victim).expect("read");
    let refused = tool(
        64,
        &["inspect"],
        &db,
        &["--html", &victim.to_string_lossy()],
    );
    assert!(String::from_utf8_lossy(&refused.stderr).contains("ends in .html"));
    assert!(before == fs::read(&victim).expect("read"));
    let nowhere = tool(4, &["inspect"], &db, &["--html", "/nowhere/at/all.html"]);
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("/nowhere/at/all.html"));
}
