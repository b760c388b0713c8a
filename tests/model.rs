//! The format and the engine against models of them, over arbitrary inputs.
//!
//! The engine's model is a list: what was handed in and is durable, above the
//! checkpoint. After each step what a reader gets is that list.

mod common;
#[path = "model/engine.rs"]
mod engine;
#[path = "model/format.rs"]
mod format;
#[path = "model/wrong.rs"]
mod wrong;
