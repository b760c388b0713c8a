//! `epochwal bench`: that it measures what it says, and leaves nothing behind.
//! How fast anything is, is no matter here.

use serde_json::Value;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

#[track_caller]
fn bench(code: i32, dir: &Path, options: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_epochwal"))
        .arg("bench")
        .arg(dir)
        .args(options)
        .output()
        .expect("the tool starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(stderr.is_empty(), code == 0, "{stderr}");
    output
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

/// Ascending percentiles of what took any time.
fn check_latency(latency: &Value) {
    let parts = ["p50", "p90", "p99", "p999", "max"].map(|part| number(&latency[part]));
    assert!(parts[0] > 0.0 && parts.is_sorted(), "{latency}");
    assert!(number(&latency["mean"]) <= parts[4]);
}

#[test]
fn each_run_is_told_with_rate_ratio_and_latencies() {
    let dir = tempfile::tempdir().expect("tempdir");
    let options = ["--threads", "1,3", "--size", "512", "--seconds", "0.05"];
    let output = bench(0, dir.path(), &[&options[..], &["--json"]].concat());
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(found["size"], 512);
    let disk = number(&found["disk"]["writes_per_second"]);
    check_latency(&found["disk"]["latency_us"]);
    let runs = found["commits"].as_array().expect("a list");
    let threads: Vec<_> = runs.iter().map(|run| run["threads"].as_u64()).collect();
    assert_eq!(threads, [Some(1), Some(3)]);
    for run in runs {
        let rate = number(&run["commits_per_second"]);
        assert!(run["commits"].as_u64() > Some(0) && rate > 0.0);
        // 50 ms at least, and what it took to stop.
        assert!(rate <= number(&run["commits"]) / 0.05);
        let ratio = number(&run["ratio_to_disk"]);
        assert!((ratio - rate / disk).abs() < 1e-9, "{run}");
        assert!(number(&run["commits_per_group"]) >= 1.0);
        check_latency(&run["latency_us"]);
    }
    assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 0);
}

#[test]
fn people_get_a_row_for_each_run() {
    let dir = tempfile::tempdir().expect("tempdir");
    let output = bench(0, dir.path(), &["--threads", "2", "--seconds", "0.01"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let begins: Vec<_> = text
        .lines()
        .map(|line| line.get(..14).unwrap_or(""))
        .collect();
    assert_eq!(begins.len(), 4, "{text}");
    assert_eq!(begins[2], "write and sync");
    assert!(begins[3].starts_with("commit"));
}

#[test]
fn what_can_not_be_measured_is_refused() {
    let dir = tempfile::tempdir().expect("tempdir");
    let missing = bench(4, &dir.path().join("nowhere"), &["--seconds", "0.01"]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("nowhere/epochwal-bench-"));
    for options in [
        ["--threads", "0"],
        ["--size", "65537"],
        ["--seconds", "0"],
        ["--seconds", "nan"],
    ] {
        bench(64, dir.path(), &options);
    }
}

/// Ctrl-C in mid-flight: it ends as one that knew nothing of the signal would, and
/// takes its folder along.
#[test]
fn one_that_is_interrupted_leaves_nothing_behind() {
    for (name, number) in [("INT", 2), ("TERM", 15)] {
        let dir = tempfile::tempdir().expect("tempdir");
        let files = || {
            let inner = fs::read_dir(dir.path()).expect("list").flatten().next();
            inner.map_or(0, |inner| {
                fs::read_dir(inner.path()).map_or(0, Iterator::count)
            })
        };
        let mut running = Command::new(env!("CARGO_BIN_EXE_epochwal"))
            .arg("bench")
            .arg(dir.path())
            .args(["--seconds", "3600"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the tool starts");
        // It writes once it is ready to be interrupted.
        while files() == 0 {
            assert!(running.try_wait().expect("a child").is_none());
            std::thread::yield_now();
        }
        let sent = Command::new("kill")
            .args(["-s", name, &running.id().to_string()])
            .status();
        assert!(sent.expect("kill").success());
        let ended = running.wait_with_output().expect("an end");
        assert_eq!(ended.status.signal(), Some(number), "{:?}", ended.status);
        assert!(ended.stdout.is_empty());
        assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 0);
    }
}
