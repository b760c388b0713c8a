//! Wrong designs (`src/wrong.rs`) and the tests here that catch them.

#[path = "../common/wrong.rs"]
mod runner;

runner::caught! {
    AckBeforeSync: "crash::crashes_with_buffered_writes" => "all or nothing lost",
    NoDirectorySync: "crash::crashes_with_direct_writes" => "after a mere crash",
    RetiresBeforeSaving: "crash::crashes_with_direct_writes" => "after a mere crash",
    RetiresOneEpochMore: "crash::crashes_with_direct_writes" => "were durable, only those",
    TailNotWrittenAgain: "faults::every_call_of_a_workload_fails_in_every_way"
        => "the open after a crash",
    DamageIsCut: "damage::every_bit_of_a_closed_spool" => "silently absent",
    SeenBeforeDurable: "prune::a_full_disk_stops_neither_reading_nor_pruning_for_good"
        => "left == right",
    PrunesPastTheEnd: "prune::a_spool_pruned_empty_goes_on_after_what_it_had" => "Ahead",
    FloorIgnored: "with_primary::nobody_prunes_what_a_slot_needs" => "left: 600",
    SegmentsGoBeforeTheBounds: "held::a_read_beside_a_prune_has_no_gap"
        => "a gap that nobody told of",
    ReusedUnderACursor: "cursor::an_open_cursor_outlives_a_prune_until_it_leaves_its_segment"
        => "held up to",
    HighestLsnForgotten: "prune::a_spool_pruned_empty_goes_on_after_what_it_had" => "Ahead",
    TermForgotten: "append::lsns_that_do_not_rise_and_terms_that_fall_are_refused" => "OutcomeUnknown",
    CutNotSaved: "crash::crashes_with_direct_writes" => "all or nothing lost",
    CutMissesWhatIsStaged: "held::a_cut_takes_all_that_was_staged_before_it" => "out of order",
    RingOutlivesACut: "faults::every_call_of_a_workload_fails_in_every_way"
        => "reading fails",
    LostRecordsPassedOver: "lost::nobody_reads_across_what_a_salvage_has_lost" => "nothing told",
    DeadRecordsRead: "truncate::what_is_cut_off_is_gone_and_the_new_term_goes_on"
        => "left == right",
    RecordsBeforeAnErrorLost: "held::a_cursor_that_met_an_error_skips_nothing" => "Timeout",
}
