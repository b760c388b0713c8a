//! RDLW files: what other software wrote, damage of every kind, and what a
//! crash or a failing disk leaves of what is written here.

#[path = "rdlw/bounds.rs"]
mod bounds;
#[path = "rdlw/common.rs"]
mod common;
#[path = "rdlw/crash.rs"]
mod crash;
#[path = "rdlw/damage.rs"]
mod damage;
#[path = "rdlw/faults.rs"]
mod faults;
#[path = "rdlw/golden.rs"]
mod golden;
#[path = "rdlw/oracle.rs"]
mod oracle;
#[path = "faults/ways.rs"]
#[allow(dead_code)]
mod ways;
#[path = "rdlw/write.rs"]
mod write;
#[path = "rdlw/wrong.rs"]
mod wrong;
