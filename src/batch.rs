//! What a committer hands in: a batch of page frames.

/// The largest page image, in bytes.
pub const MAX_FRAME_BYTES: usize = 65_536;
/// The largest metadata of a batch, in bytes.
pub const MAX_METADATA_BYTES: usize = 65_536;

/// One page image. Borrowed: the library copies it before `submit` returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The page's number, from 1.
    pub page_number: u32,
    /// Database size in pages on the frame that commits a transaction, else 0.
    pub db_size_if_commit: u32,
    /// The image, 1 to 65536 bytes.
    pub data: &'a [u8],
}

/// The frames of one transaction, in write order.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Transaction id, not 0.
    pub txn_id: u64,
    /// Transaction epoch: the second half of the caller's token.
    pub txn_epoch: u32,
    /// Commit sequence: 1 or above from the caller, 0 where the coordinator
    /// assigns it.
    pub commit_seq: u64,
    /// At least one frame.
    pub frames: &'a [Frame<'a>],
    /// Opaque bytes kept with the batch, up to 64 KiB; may be empty.
    pub metadata: &'a [u8],
}

/// A batch whose frames lie somewhere else than in a `[Frame]`, so that the C
/// and Python faces stage without building one.
pub trait FrameSource {
    /// How many frames there are.
    fn count(&self) -> usize;
    /// Frame `index`, below [`FrameSource::count`]. Must give the same frame
    /// each time during one submit; a source that does not gets its batch
    /// refused or voided, never an unsafe write.
    fn frame(&self, index: usize) -> Frame<'_>;
}

impl FrameSource for [Frame<'_>] {
    fn count(&self) -> usize {
        self.len()
    }

    fn frame(&self, index: usize) -> Frame<'_> {
        self[index]
    }
}

/// The fields of a batch beside its frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct BatchHead<'a> {
    /// See [`Batch::txn_id`].
    pub txn_id: u64,
    /// See [`Batch::txn_epoch`].
    pub txn_epoch: u32,
    /// See [`Batch::commit_seq`].
    pub commit_seq: u64,
    /// See [`Batch::metadata`].
    pub metadata: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The fields beside the frames.
    pub fn head(&self) -> BatchHead<'a> {
        BatchHead {
            txn_id: self.txn_id,
            txn_epoch: self.txn_epoch,
            commit_seq: self.commit_seq,
            metadata: self.metadata,
        }
    }
}
