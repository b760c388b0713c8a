//! Rules of the house that no compiler checks.

use std::fs;
use std::path::{Path, PathBuf};

/// What a model checker can't stand in for.
const PRIMITIVES: [&str; 8] = [
    "std::sync::",
    "std::thread",
    "std::time::Instant",
    "time::{Duration, Instant}",
    "core::sync::",
    "parking_lot",
    "SYS_futex",
    "pthread_mutex",
];

/// What the coordinator and the log have from the standard library all the
/// same, and why that takes nothing from a model: nobody waits for any of it.
const PLAIN: [(&str, &str); 9] = [
    // Counts handles; loom and shuttle order nothing by them.
    ("", "std::sync::Arc;"),
    ("sequencer/lanes.rs", "std::sync::{Arc, Weak};"),
    // The way back from a spool to the primary that holds it.
    ("primary/spool.rs", "std::sync::{Arc, Weak};"),
    // Names a coordinator, orders nothing.
    (
        "sequencer/lanes.rs",
        "std::sync::atomic::{AtomicU64, Ordering};",
    ),
    // Figures, each by itself.
    (
        "sequencer/stats.rs",
        "std::sync::atomic::{AtomicU64, Ordering::Relaxed};",
    ),
    // The process's table: one word, set once per process.
    ("coordinator/registry.rs", "std::sync::atomic::AtomicPtr;"),
    // A table of numbers, made once.
    ("format/group.rs", "std::sync::OnceLock;"),
    // Between processes, which no model has: polled, with a limit.
    ("log/lock.rs", "std::time::{Duration, Instant};"),
    (
        "log/lock.rs",
        "std::thread::sleep(Duration::from_millis(1));",
    ),
];

/// Outside the coordinator and the log: what runs around a fork and across
/// the C ABI, the simulated disk, and the switch of the wrong designs. None of
/// it sleeps for another thread.
const OUTSIDE: [&str; 4] = ["sync/", "storage/", "ffi/", "wrong.rs"];

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// Every lock, atomic, futex, thread and clock comes through `src/sync`.
#[test]
fn primitives_come_through_one_module() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 50, "{files:?}");
    let mut used = [false; PLAIN.len()];
    let mut strays = Vec::new();
    for file in &files {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap();
        if OUTSIDE.iter().any(|o| name.starts_with(o)) || name.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(file).unwrap();
        // A file's tests stand at its end.
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for (number, line) in code.lines().enumerate() {
            let line = line.trim();
            if line.starts_with("//") || !PRIMITIVES.iter().any(|p| line.contains(p)) {
                continue;
            }
            let plain = |(file, what): &(&str, &str)| {
                (file.is_empty() || *file == name) && line.ends_with(what)
            };
            match PLAIN.iter().position(plain) {
                Some(at) => used[at] = true,
                None => strays.push(format!("{name}:{}: {line}", number + 1)),
            }
        }
    }
    assert!(
        strays.is_empty(),
        "not through src/sync:\n{}",
        strays.join("\n")
    );
    for (rule, used) in PLAIN.iter().zip(used) {
        assert!(used, "nobody needs the exception {rule:?}");
    }
}

/// Fences order nothing: the thread sanitizer ignores them, and would take
/// what they order for races. Loom's world has some for its own use.
#[test]
fn no_fence_orders_anything() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    for file in &files {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap();
        let fenced = fs::read_to_string(file).unwrap().contains("fence(");
        assert_eq!(fenced, name == "sync/weak.rs", "{name}");
    }
}

/// What `make install` writes and what cargo-c makes of the manifest agree: the
/// library's name and number, and what pkg-config says of it.
#[test]
fn packagers_are_told_the_same_by_cargo_c() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let manifest = read("Cargo.toml");
    let section = |name: &str| {
        let head = format!("[package.metadata.capi{name}]\n");
        let (_, rest) = manifest.split_once(&head).expect(&head);
        rest.split("\n[").next().unwrap()
    };

    // One component of the version is what the SONAME ends with.
    assert!(section(".library").contains("version_suffix_components = 1\n"));
    let major = env!("CARGO_PKG_VERSION").split('.').next().unwrap();
    let soname = format!("\nsoname=libepochwal.so.{major}\n");
    assert!(read("bindings/build.sh").contains(&soname), "{soname}");
    let nodelete = "link-arg=-Wl,-z,nodelete";
    assert!(read("bindings/build.sh").contains(nodelete));
    assert!(section(".library").contains(nodelete));

    let description = read("bindings/cpp/epochwal.pc.in")
        .lines()
        .find_map(|line| Some(line.strip_prefix("Description: ")?.to_owned()))
        .unwrap();
    let told = format!("description = \"{description}\"\n");
    assert!(section(".pkg_config").contains(&told), "{told}");

    // Each header that is named is there, under the name that it is included by.
    assert!(section(".header").contains("generation = false\nsubdirectory = false\n"));
    let include = section(".install.include");
    assert!(include.contains(r#"{ from = "include/epochwal.h" }"#));
    assert!(root.join("include/epochwal.h").is_file());
    let hpp = r#"{ from = "bindings/cpp/include/epochwal/*.hpp", to = "epochwal" }"#;
    assert!(include.contains(hpp));
    assert!(
        root.join("bindings/cpp/include/epochwal/epochwal.hpp")
            .is_file()
    );
}
