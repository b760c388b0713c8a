//! Wrong designs (`src/wrong.rs`) and the tests here that catch them.

#[path = "../common/wrong.rs"]
mod runner;

runner::caught! {
    TriesAgainAfterFailing: "waiters::a_failed_sync_is_not_healed_by_one_that_succeeds"
        => "right: OutcomeUnknown",
    SecondSyncTrusted: "waiters::a_failed_sync_is_not_healed_by_one_that_succeeds"
        => "on an `Ok` value",
    NoSpaceInASyncHeals: "waiters::no_space_in_a_sync_is_final" => "right: OutcomeUnknown",
    NoSpaceCountsAsWritten: "no_space_heals_unless_a_sync_says_it"
        => "recovery fails after a mere crash",
    ShortWriteTrusted: "a_short_read_or_write_is_not_seen" => "recovery fails after a mere crash",
    InterruptedSyncTrusted: "an_interruption_is_not_seen" => "recovery fails after a mere crash",
    TakesBatchesAfterFailing: "an_io_error_is_never_a_false_acknowledgement" => "submit: None",
    LogLimitIgnored: "space::a_log_at_its_limit_refuses_until_a_checkpoint" => "bytes of log",
    TailNotWrittenAgain: "waiters::a_failed_sync_is_not_healed_by_one_that_succeeds"
        => "epochs up to 2 were durable",
}
