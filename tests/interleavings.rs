//! The coordinator's own synchronisation under a model checker, on a
//! simulated disk: `cargo test --features shuttle,sim --test interleavings`.
//!
//! Every schedule is checked for what must hold in all of them: nobody sleeps
//! for ever (shuttle finds threads that all wait), what is acknowledged
//! survives a crash at that moment, what is given up never comes back. A
//! failure prints its seed and its schedule.

#[path = "interleavings/commit.rs"]
mod commit;
#[path = "interleavings/end.rs"]
mod end;
#[path = "interleavings/failure.rs"]
mod failure;
#[path = "interleavings/harness.rs"]
mod harness;
#[path = "interleavings/primary.rs"]
mod primary;
#[path = "interleavings/room.rs"]
mod room;
#[path = "primary/site.rs"]
mod site;
#[path = "interleavings/spool.rs"]
mod spool;
#[path = "interleavings/writers.rs"]
mod writers;
#[path = "interleavings/wrong.rs"]
mod wrong;
