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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncStyle {
    /// Direct where a probe at open shows that it works, else buffered.
    Probe,
    /// `O_DIRECT|O_DSYNC`; opening fails where the file system refuses it.
    Direct,
    /// Buffered writes and a sync call.
    Buffered,
}
