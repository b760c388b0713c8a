//! RDLW files: what other software wrote, damage of every kind, and what a
//! crash or a failing disk leaves of what is written here.

#[path = "rdlw/bounds.rs"]
mod bounds;
#[path = "rdlw/common.rs"]
mod common;
#[path = "rdlw/damage.rs"]
mod damage;
#[path = "rdlw/golden.rs"]
mod golden;
#[path = "rdlw/oracle.rs"]
mod oracle;
