//! This program again, as a process of its own: where what is measured belongs
//! to a whole process.

use crate::{idle, memory};
use std::process::Command;
use turns::text;

/// Starts the role, and gives the numbers that it prints.
pub fn ask(role: &str, arguments: &[String]) -> Result<Vec<f64>, String> {
    let program = std::env::current_exe().map_err(text)?;
    let output = Command::new(program)
        .arg("--child")
        .arg(role)
        .args(arguments)
        .output()
        .map_err(text)?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .map(|number| number.parse().map_err(text))
        .collect()
}

pub fn run(role: &str, arguments: &[String]) -> Result<(), String> {
    match role {
        "idle" => idle::child(arguments),
        "memory" => memory::child(arguments),
        _ => Err(format!("no role is called {role}")),
    }
}
