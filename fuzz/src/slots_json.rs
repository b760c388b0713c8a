//! The slot store in JSON.

use super::memory::within;
use epochwal::format::slots_json::{decode, encode};
use std::collections::HashSet;

/// A slot takes more in memory than its shortest text, and a hash set beside.
const FACTOR: usize = 64;

pub fn run(data: &[u8]) {
    let Ok(slots) = within(FACTOR * data.len() + 4096, || decode(data)) else {
        return;
    };
    let ids: HashSet<&str> = slots.iter().map(|slot| slot.id.as_str()).collect();
    assert_eq!(ids.len(), slots.len());
    let again = decode(&encode(&slots)).expect("what was written can be read");
    assert_eq!(again, slots);
}
