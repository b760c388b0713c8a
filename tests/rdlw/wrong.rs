//! Wrong designs (`src/wrong.rs`) and the tests here that catch them.

#[path = "../common/wrong.rs"]
mod runner;

runner::caught! {
    DamageIsCut: "golden::each_file_is_read_as_its_manifest_says" => "corrupt",
    TornTailIsRefused: "damage::a_file_cut_at_any_length_is_clean_or_torn" => "torn",
    LengthTrusted: "bounds::a_claimed_length_takes_no_memory" => "bytes",
    AckBeforeSync: "crash::an_appender_crashed_at_every_operation" => "operation",
    NamedBeforeSynced: "crash::an_export_is_there_whole_or_not_at_all" => "left",
    NoDirectorySync: "crash::an_appender_crashed_at_every_operation" => "operation",
    TailNotWrittenAgain: "crash::what_an_open_reads_lasts" => "left",
    FailedAppendStays: "faults::no_space_in_the_middle_of_a_record_heals" => "left",
    ShortWriteTrusted: "faults::an_appender_with_a_failing_call" => "turn",
    NoSpaceCountsAsWritten: "faults::an_appender_with_a_failing_call" => "turn",
    SecondSyncTrusted: "faults::an_appender_with_a_failing_call" => "",
    InterruptedSyncTrusted: "faults::an_appender_with_a_failing_call" => "turn",
}
