//! Wrong designs (`src/wrong.rs`) and the tests here that catch them.

#[path = "../common/wrong.rs"]
mod runner;

runner::caught! {
    LengthTrusted: "a_sparse_file_takes_no_memory" => "no memory",
}
