//! Slots, replicas and commit waits, over a log that the tests make up.

#[path = "primary/crash.rs"]
mod crash;
#[path = "primary/faults.rs"]
mod faults;
#[path = "primary/limits.rs"]
mod limits;
#[path = "primary/model.rs"]
mod model;
#[path = "primary/quorum.rs"]
mod quorum;
#[path = "primary/replicas.rs"]
mod replicas;
#[path = "primary/resume.rs"]
mod resume;
#[path = "primary/session.rs"]
mod session;
#[path = "primary/site.rs"]
mod site;
#[path = "primary/slots.rs"]
mod slots;
#[path = "primary/store.rs"]
mod store;
#[path = "primary/watch.rs"]
mod watch;
