//! One copy of the state file. Bit 0 of the first byte makes its checksum
//! right; what lies behind the fields is zeros.

use super::fix;
use epochwal::format::state::{STATE_COPY, State};

pub fn run(data: &[u8]) {
    let _ = State::parse(data);
    let Some((&mode, data)) = data.split_first() else {
        return;
    };
    let mut bytes = data.to_vec();
    bytes.resize(STATE_COPY, 0);
    if mode & 1 != 0 {
        bytes[..8].copy_from_slice(b"EWALSTAT");
        fix::state(&mut bytes);
    }
    if let Ok(state) = State::parse(&bytes) {
        assert_eq!(State::parse(&state.encode()), Ok(state));
    }
}
