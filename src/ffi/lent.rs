//! Strings that a callback borrows for its time.

use std::ffi::{CString, c_char};
use std::ptr::null;

/// A string as C reads it, or none.
pub(super) struct Lent(Option<CString>);

impl Lent {
    /// Names hold no NUL; of any other text what stands before it is lent.
    pub(super) fn new(text: &str) -> Lent {
        let text = text.split('\0').next().unwrap_or("");
        Lent(CString::new(text).ok())
    }

    pub(super) fn of(text: Option<&str>) -> Lent {
        text.map_or(Lent(None), Lent::new)
    }

    /// NULL where there is none; valid while this lives.
    pub(super) fn as_ptr(&self) -> *const c_char {
        self.0.as_ref().map_or(null(), |text| text.as_ptr())
    }
}
