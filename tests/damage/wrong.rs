//! Wrong designs (`src/wrong.rs`) and the tests here that catch them.

#[path = "../common/wrong.rs"]
mod runner;

runner::caught! {
    OneStateCopy: "rows::row_15_no_state_file" => "what a salvage keeps",
    NoWatermark: "rows::row_03_a_wrong_body_that_a_watermark_covers" => "left: (Torn",
    TornHeadersStay: "leftovers::a_torn_tail_is_reported_once" => "left: Torn",
    DurableByMaximum: "leftovers::a_torn_tail_is_reported_once" => "what can be read is durable",
    ForeignGroupsTaken: "leftovers::the_segments_of_a_log_of_the_same_shape_are_another_logs"
        => "left: (Clean",
    StaleGroupsTaken: "leftovers::a_whole_group_that_names_another_place_is_not_taken"
        => "another generation is taken",
    MisplacedGroupsTaken: "leftovers::a_whole_group_that_names_another_place_is_not_taken"
        => "another position is taken",
    LinkNotChecked: "leftovers::a_whole_group_that_names_another_place_is_not_taken"
        => "another link is taken",
    ItemsNotChecked: "rows::row_04_a_wrong_body_that_none_covers" => "a wrong record came out",
    CertificateNotChecked: "rows::row_04_a_wrong_body_that_none_covers" => "left: (Clean",
    DamageIsCut: "rows::row_03_a_wrong_body_that_a_watermark_covers" => "left: (Torn",
    CutSegmentIsTaken: "rows::row_12_a_file_that_is_cut" => "left: Clean",
    MissingSegmentsNotMissed: "rows::row_14_a_segment_is_missing" => "left: Clean",
    TrailingBytesNotSeen: "rows::row_17_a_segment_of_version_one_that_does_not_parse"
        => "left: (Clean",
}
