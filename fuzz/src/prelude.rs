//! The 24 bytes in front of everything.

use super::fix;
use epochwal::format::prelude;

pub fn run(data: &[u8]) {
    let _ = prelude::parse(data);
    let mut bytes = data.to_vec();
    fix::prelude(&mut bytes);
    match prelude::parse(&bytes) {
        Ok(found) => {
            let mut again = [0xee; prelude::LEN];
            prelude::write(&mut again, &found);
            assert_eq!(again, bytes[..prelude::LEN], "not what was read");
        }
        Err(error) => {
            assert!(data.len() < prelude::LEN, "{error}");
            assert!(error.offset() <= data.len() as u64);
        }
    }
}
