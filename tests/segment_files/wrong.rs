//! Wrong designs (`src/wrong.rs`) and the tests here that catch them.

#[path = "../common/wrong.rs"]
mod runner;

runner::caught! {
    ReplacesASegment: "a_segment_is_never_replaced" => "on an `Ok` value",
    NamedBeforeSynced: "the_name_comes_after_the_bytes_and_is_made_durable" => "left: [\"create",
}
