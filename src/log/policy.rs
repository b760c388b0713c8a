//! What durable means, and how it is reached.

/// What "durable" costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Data and metadata.
    Full,
    /// Data and what is needed to read it back (`fdatasync`).
    Normal,
    /// Nothing is synced and no watermark is claimed: an epoch is called
    /// durable when it is written.
    Off,
}

/// How groups reach the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncStyle {
    /// Direct where a probe at open shows that it works, else buffered.
    #[default]
    Probe,
    /// `O_DIRECT|O_DSYNC`; opening fails where the file system refuses it.
    Direct,
    /// Buffered writes and a sync call.
    Buffered,
}

/// What only tests turn, to see at a small scale, and in a fixed order, what a
/// log does at a large one. No part of the interface.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knobs {
    /// Opening checks this much of the log's end although a watermark covers
    /// it: damage is best heard of early, and reading a whole long log is not.
    pub checked_at_open: u64,
    /// Spares are made by the flush that asks for them, not beside it.
    pub spares_in_line: bool,
}

impl Default for Knobs {
    fn default() -> Self {
        Knobs {
            checked_at_open: 64 << 20,
            spares_in_line: false,
        }
    }
}
