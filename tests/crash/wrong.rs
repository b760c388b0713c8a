//! Wrong designs (`src/wrong.rs`) and the tests here that catch them.

#[path = "../common/wrong.rs"]
mod runner;

runner::caught! {
    AckBeforeSync: "every_operation_with_buffered_writes" => "was acknowledged, the log ends with",
    NoDirectorySync: "every_operation_with_direct_writes" => "recovery fails after a mere crash",
    SpareNotSynced: "every_operation_with_direct_writes" => "recovery fails after a mere crash",
    RetiresBeforeSaving: "every_operation_with_direct_writes"
        => "recovery fails after a mere crash",
    RetiresOneEpochMore: "every_operation_with_direct_writes"
        => "epochs between the checkpoint and it are missing",
    WatermarkTooHigh: "every_operation_with_direct_writes" => "recovery fails after a mere crash",
    NoEpochGap: "every_operation_with_direct_writes" => "was given out before",
    TailNotSynced: "every_operation_with_buffered_writes" => "recovery fails after a mere crash",
    TornTailIsRefused: "every_operation_with_direct_writes" => "recovery fails after a mere crash",
}
