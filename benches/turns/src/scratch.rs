//! Where the measured files lie.

use crate::text;
use std::path::Path;
use tempfile::{Builder, TempDir};

/// A directory that goes with the program.
pub struct Scratch {
    root: TempDir,
}

impl Scratch {
    /// Within `chosen`, or else beside the program, which is on the disk that
    /// was built on: a system's temporary directory may be memory.
    pub fn new(prefix: &str, chosen: Option<&Path>) -> Result<Scratch, String> {
        let program = std::env::current_exe().map_err(text)?;
        let parent = chosen.or(program.parent()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(|e| format!("{}: {e}", parent.display()))?;
        // A server that an arm starts may be another user.
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let root = Builder::new()
            .prefix(prefix)
            .permissions(readable)
            .tempdir_in(parent)
            .map_err(|e| format!("{}: {e}", parent.display()))?;
        Ok(Scratch { root })
    }

    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// A new, empty directory in it, which goes when it is dropped.
    pub fn subdir(&self) -> Result<TempDir, String> {
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        Builder::new()
            .permissions(readable)
            .tempdir_in(&self.root)
            .map_err(|e| format!("{}: {e}", self.path().display()))
    }
}
