//! Named wrong designs, to test the tests with.
//!
//! Each is a mistake that a write-ahead log can be built with and that looks
//! right on a good day. In a build with the `wrong` feature the environment
//! puts one in (`EPOCHWAL_WRONG=AckBeforeSync`), and a test that is named
//! beside it in `tests/*/wrong.rs` must then fail. Without the feature nothing
//! is left of them: [`is`] is a constant.

/// The designs, and all of them as a list.
macro_rules! designs {
    ($($(#[doc = $doc:literal])+ $design:ident,)+) => {
        /// What is done wrong, and which guarantee falls by it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Wrong {
            $($(#[doc = $doc])+ $design,)+
        }

        impl Wrong {
            /// Each design once.
            #[cfg(feature = "wrong")]
            pub const ALL: &[Wrong] = &[$(Wrong::$design),+];
        }
    };
}

designs! {
    // Acknowledging.

    /// A group counts as durable when it is written; nobody waits for its sync. G1.
    AckBeforeSync,
    /// A flush acknowledges the epoch that filled while it ran, too, whose
    /// batches came after its seal. G1.
    AckByARunningFlush,
    /// A ticket's epoch is read before its room is reserved, so that it may
    /// name an epoch that does not hold the batch. G1.
    EpochReadBeforeReserving,
    /// The flusher does not wait for those who are still filling what it
    /// sealed. (Two threads then touch the same bytes, which the model checker
    /// runs one at a time.) G4.
    WritesBeforeFilled,
    /// After a failed write or sync the same group is tried again. G6.
    TriesAgainAfterFailing,
    /// A second sync is believed where the first has failed. G6.
    SecondSyncTrusted,
    /// A sync that finds no space is taken for a write that finds none, which
    /// heals. G6.
    NoSpaceInASyncHeals,
    /// A group for which there was no space is called written. G6.
    NoSpaceCountsAsWritten,
    /// The first write is taken for all of it, however short. G6.
    ShortWriteTrusted,
    /// A sync that a signal interrupted is taken for done. G1.
    InterruptedSyncTrusted,

    /// A coordinator that has failed goes on taking batches. G6.
    TakesBatchesAfterFailing,

    // Bounds.

    /// A lane takes what comes, however full it is. G8.
    LaneLimitIgnored,
    /// The log grows beyond its byte limit. G8.
    LogLimitIgnored,
    /// Memory is taken for a whole file, whatever its header counts. G12.
    LengthTrusted,
    /// A second writer opens the database. G9.
    SecondWriterLetIn,

    // Waiting.

    /// Those who wait are not woken when the coordinator fails. G6.
    FailureIsNotTold,

    /// Who lets go of the flusher wakes nobody to lead next.
    LeadIsNotHandedOn,
    /// The lead counts as handed on where the one that was woken had left.
    LeadIsHandedToNobody,
    /// Who wakes one forgets that others sleep on.
    WakeOfOneForgetsTheOthers,
    /// A waiter that gives up keeps the wake that was meant to make a leader.
    GivesUpWithTheLead,
    /// The word to sleep on is read after the condition, so that a wake
    /// between the two is missed.
    TokenAfterTheCondition,
    /// The ticker falls asleep without another look at what was staged.
    TickerDoesNotLookAgain,
    /// Submitters that wait for room are not told of it when a flush is done.
    RoomIsNotTold,

    // Writing.

    /// A new segment's name is not made durable. G1.
    NoDirectorySync,
    /// A new segment's zeros, and with them its size, are not synced. G1.
    SpareNotSynced,
    /// The state file has one copy, overwritten in place. G7.
    OneStateCopy,
    /// Segments are let go, and the state file says so afterwards. G5.
    RetiresBeforeSaving,
    /// A checkpoint lets a segment go that holds one epoch more. G3.
    RetiresOneEpochMore,
    /// Segments are reused under a reader that holds them. G9.
    ReadersHoldIgnored,
    /// A group claims in its own header that it is durable. G7.
    WatermarkTooHigh,
    /// Groups do not say how far the log was durable before them. G7.
    NoWatermark,
    /// A segment of version 1 takes the place of one that is there. G5.
    ReplacesASegment,
    /// A segment of version 1, or a RDLW file, gets its name before its bytes
    /// are synced. G1.
    NamedBeforeSynced,

    /// What a failed append has left in a RDLW file stays there. G6.
    FailedAppendStays,

    // Going on after a crash.

    /// Epochs start from the first again. G5.
    StartsAtTheFirstEpoch,
    /// After a crash numbers go on right behind the last one on the disk,
    /// though more may have been handed out. G5.
    NoEpochGap,
    /// The coordinator's sequences start from the first again. G2.
    StartsAtTheFirstSequence,
    /// What lies above the last watermark is called durable as it was found. G5.
    TailNotSynced,
    /// What lies above the last watermark is synced, but not written again,
    /// though a failed sync may have marked it clean. G5.
    TailNotWrittenAgain,
    /// A torn tail's headers stay, to be found beyond a later end. G7.
    TornHeadersStay,
    /// The durable epoch is the highest on the disk, whatever is missing
    /// below it. G3.
    DurableByMaximum,

    // Reading.

    /// The log's identity is not looked for in its files. G7.
    ForeignGroupsTaken,
    /// Groups left in a reused file by its former use are taken. G9.
    StaleGroupsTaken,
    /// A group is taken from any place in the file. G7.
    MisplacedGroupsTaken,
    /// The link to the certificate before is not checked. G7.
    LinkNotChecked,
    /// Items' checksums are not checked, only the certificate's over them. G7.
    ItemsNotChecked,
    /// The certificate's own checksum is not checked. G7.
    CertificateNotChecked,
    /// Damage to what was acknowledged is cut off like a torn tail. G7.
    DamageIsCut,
    /// A torn tail is called corruption. G7.
    TornTailIsRefused,
    /// A segment that ends where a group ends is taken for a whole one. G7.
    CutSegmentIsTaken,
    /// Segments that the state file names are not missed. G7.
    MissingSegmentsNotMissed,
    /// Batches of an epoch come back as they were staged, not in the order of
    /// their sequences. G3.
    StagedOrder,
    /// A reader beside a writer gives what is not durable yet. G9.
    ReadsAheadOfTheWriter,
    /// Bytes behind the last record of a version 1 segment are not seen. G7.
    TrailingBytesNotSeen,

    // The spool.

    /// Readers see a record once it is staged. G10.
    SeenBeforeDurable,
    /// The order is checked under its lock, and the place taken after it. G10.
    OrderOutsideTheLock,
    /// A prune goes where it is told to, beyond the last record too. G10.
    PrunesPastTheEnd,
    /// A prune does not ask what slots need. G11.
    FloorIgnored,
    /// A prune takes segments from readers before it says that they are gone. G10.
    SegmentsGoBeforeTheBounds,
    /// A segment that a cursor is in is used again. G9.
    ReusedUnderACursor,
    /// The highest LSN is that of the last record there is. G10.
    HighestLsnForgotten,
    /// A spool that is opened has no term until its first record. G10.
    TermForgotten,
    /// A cut holds in memory, and is saved when something else is. G1.
    CutNotSaved,
    /// A cut writes what was sealed before it, not what was staged since. G10.
    CutMissesWhatIsStaged,
    /// The ring keeps what was cut off. G10.
    RingOutlivesACut,
    /// Reading goes over what a salvage has lost. G9.
    LostRecordsPassedOver,
    /// Readers of segments give what was cut off. G10.
    DeadRecordsRead,
    /// A cursor that meets an error in a group goes on behind what it had read
    /// of it. G10.
    RecordsBeforeAnErrorLost,
}

/// Whether the log is built this way.
#[cfg(not(feature = "wrong"))]
pub(crate) const fn is(_design: Wrong) -> bool {
    false
}

/// Whether the log is built this way.
#[cfg(feature = "wrong")]
pub(crate) fn is(design: Wrong) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<Wrong>> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(chosen) == Some(design)
}

#[cfg(feature = "wrong")]
fn chosen() -> Option<Wrong> {
    let name = std::env::var("EPOCHWAL_WRONG").ok()?;
    let named = Wrong::ALL.iter().find(|d| format!("{d:?}") == name);
    Some(*named.unwrap_or_else(|| panic!("EPOCHWAL_WRONG={name}: there is no such design")))
}
