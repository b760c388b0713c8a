//! Wrong designs (`src/wrong.rs`) and the tests here that catch them.

#[path = "../common/wrong.rs"]
mod runner;

runner::caught! {
    LaneLimitIgnored: "a_full_lane_refuses_spills_or_blocks" => "right: (15, 0)",
    SecondWriterLetIn: "a_second_writer_is_told_locked" => "on an `Ok` value",
    StagedOrder: "an_epoch_holds_what_was_staged_and_replays_by_sequence" => "left: [3, 1, 2]",
    StartsAtTheFirstSequence: "assigned_sequences_are_dense_and_go_on" => "left: 1",
}
