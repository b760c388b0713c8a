//! Wrong designs (`src/wrong.rs`) and the tests here that catch them.

#[path = "../common/wrong.rs"]
mod runner;

runner::caught! {
    StartsAtTheFirstEpoch: "engine::recovery_gives_what_the_model_holds" => "an epoch again",
}
