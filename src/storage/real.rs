//! The operating system's files.
/// The operating system's file system.
#[derive(Debug, Default)]
pub struct RealStorage;
