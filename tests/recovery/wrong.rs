//! Wrong designs (`src/wrong.rs`) and the tests here that catch them.

#[path = "../common/wrong.rs"]
mod runner;

runner::caught! {
    ReadersHoldIgnored: "a_reader_keeps_its_segments_from_a_checkpoint" => "No such file",
}
