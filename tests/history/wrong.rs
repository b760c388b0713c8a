//! Wrong designs (`src/wrong.rs`) and the tests here that catch them.

#[path = "../common/wrong.rs"]
mod runner;

runner::caught! {
    ReadsAheadOfTheWriter: "readers::a_reader_gives_nothing_that_is_not_durable"
        => "not durable, and read",
}
