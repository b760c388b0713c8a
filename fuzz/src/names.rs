//! File names: the first byte is the length of the database's, then that
//! name, then one that is looked at.

use super::input::Input;
use epochwal::format::names::{Kind, Names, segment_epoch};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let len = input.u8() as usize;
    let database = Path::new(OsStr::from_bytes(input.take(len)));
    let name = OsStr::from_bytes(input.0);
    let names = Names::new(database);
    assert!(!names.dir().as_os_str().is_empty());
    let made = match names.classify(name) {
        None => return,
        Some(Kind::Segment(epoch)) => names.segment(epoch),
        Some(Kind::State) => names.state(),
        Some(Kind::Lock) => names.lock(),
        Some(Kind::Spare(number)) => names.spare(number),
        Some(Kind::Tmp(epoch)) => names.tmp(epoch),
        Some(Kind::Salvaged(epoch, number)) => names.salvaged(&names.segment(epoch), number),
    };
    assert_eq!(made.file_name(), Some(name), "two names for one file");
    if let Some(Kind::Segment(epoch)) = names.classify(name) {
        assert_eq!(segment_epoch(&made), Some(epoch));
    }
}
