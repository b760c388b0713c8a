//! The 24 bytes that every segment and every group begins with, whatever its
//! version.

use super::bytes::{u16_at, u32_at, u64_at};
use super::crc::crc32c;
use std::fmt;

/// The length of a prelude in bytes.
pub const LEN: usize = 24;
/// The first four bytes, as a little-endian word: `4C 41 57 50` on disk.
pub const MAGIC: u32 = 0x5057_414C;

/// Where the checksum stands, which covers all that is before it.
const CHECKSUM_AT: usize = 20;

/// What a prelude says. Any version and any flags can be in one that parses:
/// whether they are known is for the caller to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prelude {
    /// The format's version.
    pub version: u16,
    /// The format's flags; none is defined yet.
    pub flags: u16,
    /// The epoch of the file (version 1) or of the group (version 2).
    pub epoch: u64,
    /// How many records (version 1) or items (version 2) follow.
    pub count: u32,
}

/// Why 24 bytes are no prelude. All of them are damage; a newer format has a
/// right prelude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreludeError {
    /// Fewer than [`LEN`] bytes; how many there are.
    TooShort(usize),
    /// Another magic number; which.
    Magic(u32),
    /// The stored checksum is not that of the bytes.
    Checksum {
        /// What the bytes say.
        stored: u32,
        /// What they should say.
        computed: u32,
    },
}

impl PreludeError {
    /// The offset of what is wrong, from the prelude's first byte.
    pub fn offset(&self) -> u64 {
        match self {
            PreludeError::TooShort(len) => *len as u64,
            PreludeError::Magic(_) => 0,
            PreludeError::Checksum { .. } => CHECKSUM_AT as u64,
        }
    }
}

impl fmt::Display for PreludeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PreludeError::TooShort(len) => {
                write!(f, "{len} bytes are too short for a header of {LEN}")
            }
            PreludeError::Magic(found) => {
                write!(
                    f,
                    "magic {found:#010x} instead of {MAGIC:#010x}: not a segment"
                )
            }
            PreludeError::Checksum { stored, computed } => write!(
                f,
                "header checksum is {stored:#010x}, the bytes give {computed:#010x}"
            ),
        }
    }
}

impl std::error::Error for PreludeError {}

/// Reads the prelude at the start of `bytes`; what follows it is not looked at.
pub fn parse(bytes: &[u8]) -> Result<Prelude, PreludeError> {
    let Some(head) = bytes.first_chunk::<LEN>() else {
        return Err(PreludeError::TooShort(bytes.len()));
    };
    parse_whole(head).ok_or(PreludeError::TooShort(bytes.len()))?
}

/// The outer option is never none: all offsets lie within the array.
fn parse_whole(head: &[u8; LEN]) -> Option<Result<Prelude, PreludeError>> {
    let magic = u32_at(head, 0)?;
    if magic != MAGIC {
        return Some(Err(PreludeError::Magic(magic)));
    }
    let stored = u32_at(head, CHECKSUM_AT)?;
    let computed = crc32c(&head[..CHECKSUM_AT]);
    if stored != computed {
        return Some(Err(PreludeError::Checksum { stored, computed }));
    }
    Some(Ok(Prelude {
        version: u16_at(head, 4)?,
        flags: u16_at(head, 6)?,
        epoch: u64_at(head, 8)?,
        count: u32_at(head, 16)?,
    }))
}

/// Writes a prelude and its checksum.
pub fn write(out: &mut [u8; LEN], prelude: &Prelude) {
    out[0..4].copy_from_slice(&MAGIC.to_le_bytes());
    out[4..6].copy_from_slice(&prelude.version.to_le_bytes());
    out[6..8].copy_from_slice(&prelude.flags.to_le_bytes());
    out[8..16].copy_from_slice(&prelude.epoch.to_le_bytes());
    out[16..20].copy_from_slice(&prelude.count.to_le_bytes());
    let checksum = crc32c(&out[..CHECKSUM_AT]);
    out[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Prelude = Prelude {
        version: 9,
        flags: 0x8001,
        epoch: 0x0123_4567_89ab_cdef,
        count: u32::MAX,
    };

    fn sample() -> [u8; LEN] {
        let mut out = [0xee; LEN];
        write(&mut out, &SAMPLE);
        out
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = sample();
        assert_eq!(&bytes[..4], b"LAWP");
        assert_eq!(parse(&bytes), Ok(SAMPLE));
        let mut longer = bytes.to_vec();
        longer.extend_from_slice(&[0xff; 7]);
        assert_eq!(parse(&longer), Ok(SAMPLE));
    }

    #[test]
    fn every_flipped_bit_is_found() {
        for bit in 0..LEN * 8 {
            let mut bytes = sample();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let error = parse(&bytes).unwrap_err();
            let magic = matches!(error, PreludeError::Magic(_));
            assert_eq!(magic, bit < 32, "bit {bit}: {error}");
        }
    }

    #[test]
    fn every_shorter_input_is_too_short() {
        let bytes = sample();
        for len in 0..LEN {
            assert_eq!(parse(&bytes[..len]), Err(PreludeError::TooShort(len)));
        }
    }
    #[test]
    fn an_error_says_what_and_where() {
        let of = |bytes: &[u8]| {
            let error = parse(bytes).unwrap_err();
            (error.offset(), error.to_string())
        };
        let bytes = sample();
        let short = "3 bytes are too short for a header of 24";
        assert_eq!(of(&bytes[..3]), (3, short.into()));
        let magic = "magic 0x00000000 instead of 0x5057414c: not a segment";
        assert_eq!(of(&[0; LEN]), (0, magic.into()));
        let mut changed = bytes;
        changed[20..].fill(0);
        let (at, text) = of(&changed);
        assert_eq!(at, 20);
        assert!(text.starts_with("header checksum is 0x00000000, the bytes give 0x"));
    }
}
