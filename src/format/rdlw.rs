//! RDLW: records one behind the other in one file, as other software writes
//! its logical log. Versions 1, 2 and 3 are read, version 3 is written.
//!
//! Version 3 has two layouts that only the checksum tells apart: a header of
//! 33 bytes, and one of 41 with an "ownership epoch" behind the term. The
//! shorter one is tried first.
//!
//! A length is a claim until the checksum proves it: [`claims`] holds it
//! against what is left of the file, so that nobody takes memory for more.

use super::bytes::{array_at, get_u32, get_u64, u32_at};
use crate::error::{Error, ErrorKind, Result};
use std::fmt;

/// What every record begins with.
pub const MAGIC: [u8; 4] = *b"RDLW";
/// The version that is written.
pub const VERSION: u8 = 3;
/// The longest payload, in bytes.
pub const MAX_PAYLOAD: u32 = 256 << 20;
/// The longest header of any layout.
pub const MAX_HEADER: usize = Layout::Three41.header_len();
/// Checksums cover what stands behind the magic.
pub const SUMMED_FROM: usize = MAGIC.len();
/// What a record takes beside its payload where it is written here.
pub const OVERHEAD: usize = Layout::Three33.header_len() + CRC_LEN;

const CRC_LEN: usize = 4;
/// Magic and version byte.
const PREFIX: usize = 5;

/// How a record stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layout {
    /// Version 1: no term, no timestamp, no checksum.
    One,
    /// Version 2: no term.
    Two,
    /// Version 3 with a header of 33 bytes.
    Three33,
    /// Version 3 with an ownership epoch, which nothing here uses, in a
    /// header of 41 bytes.
    Three41,
}

impl Layout {
    /// All of them; where a version has two, in the order of trying.
    pub const ALL: [Layout; 4] = [Layout::One, Layout::Two, Layout::Three33, Layout::Three41];

    /// The version byte.
    pub const fn version(self) -> u8 {
        match self {
            Layout::One => 1,
            Layout::Two => 2,
            Layout::Three33 | Layout::Three41 => 3,
        }
    }

    /// Bytes before the payload.
    pub const fn header_len(self) -> usize {
        match self {
            Layout::One => 21,
            Layout::Two => 25,
            Layout::Three33 => 33,
            Layout::Three41 => 41,
        }
    }

    /// Bytes behind the payload: those of the checksum.
    pub const fn trailer_len(self) -> usize {
        match self {
            Layout::One => 0,
            _ => CRC_LEN,
        }
    }

    /// The fields of a header in this layout, whatever its magic and version
    /// say; none where `head` is shorter.
    pub fn read(self, head: &[u8]) -> Option<Header> {
        let head = head.get(..self.header_len())?;
        let lengthless = self.header_len() - 4;
        let (term, lsn, timestamp, payload_len) = match self {
            Layout::One => (None, get_u64(head, 5), 0, get_u64(head, 13)),
            Layout::Two => (
                None,
                get_u64(head, 5),
                get_u64(head, 13),
                u64::from(get_u32(head, lengthless)),
            ),
            Layout::Three33 | Layout::Three41 => (
                Some(get_u64(head, PREFIX)),
                get_u64(head, lengthless - 16),
                get_u64(head, lengthless - 8),
                u64::from(get_u32(head, lengthless)),
            ),
        };
        Some(Header {
            layout: self,
            term,
            lsn,
            timestamp,
            payload_len,
        })
    }
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How it stands there.
    pub layout: Layout,
    /// The term; versions 1 and 2 have none.
    pub term: Option<u64>,
    /// The LSN.
    pub lsn: u64,
    /// Milliseconds since the Unix epoch; 0 in version 1.
    pub timestamp: u64,
    /// What the header claims.
    pub payload_len: u64,
}

impl Header {
    /// Bytes of the record up to the end of its payload.
    pub fn payload_end(&self) -> u64 {
        (self.layout.header_len() as u64).saturating_add(self.payload_len)
    }

    /// Bytes of the whole record.
    pub fn record_len(&self) -> u64 {
        self.payload_end()
            .saturating_add(self.layout.trailer_len() as u64)
    }
}

/// A record as it is written, and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The primary's reign.
    pub term: u64,
    /// The position in the log.
    pub lsn: u64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: u64,
    /// Up to [`MAX_PAYLOAD`] bytes.
    pub payload: &'a [u8],
}

/// Why there is no sound record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The file ends inside a header; bytes left.
    ShortHeader(u64),
    /// Not the magic.
    Magic,
    /// Not a version that there is.
    Version(u8),
    /// A payload longer than any record's.
    TooLong(u64),
    /// The file ends inside the record.
    ShortRecord {
        /// Bytes that the record claims.
        need: u64,
        /// Bytes left in the file.
        left: u64,
    },
    /// Neither layout's checksum is right.
    Checksum,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::ShortHeader(left) => write!(f, "{left} bytes left, less than a record"),
            Reason::Magic => f.write_str("no record begins here"),
            Reason::Version(v) => write!(f, "record of version {v}"),
            Reason::TooLong(len) => {
                write!(f, "payload of {len} bytes, the limit is {MAX_PAYLOAD}")
            }
            Reason::ShortRecord { need, left } => {
                write!(f, "short record: {need} bytes needed, {left} left")
            }
            Reason::Checksum => f.write_str("record with a wrong checksum"),
        }
    }
}

/// A layout's reading of a header, held against what is left of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The record may be here whole; its checksum is still to be seen.
    Fits(Header),
    /// It can't be.
    Wrong(Reason),
}

/// The readings of the bytes at `head`: one, or for version 3 two, the one to
/// be tried first in front.
///
/// `head` holds the next [`MAX_HEADER`] bytes of the file, or fewer where it
/// ends; `left` is what remains of it from there, `head` included.
pub fn claims(head: &[u8], left: u64) -> std::result::Result<(Claim, Option<Claim>), Reason> {
    let known = head.len().min(MAGIC.len());
    if head[..known] != MAGIC[..known] {
        return Err(Reason::Magic);
    }
    let claim = |layout: Layout| match layout.read(head) {
        None => Claim::Wrong(Reason::ShortHeader(left)),
        Some(header) => fits(header, left),
    };
    match head.get(MAGIC.len()) {
        None => Err(Reason::ShortHeader(left)),
        Some(1) => Ok((claim(Layout::One), None)),
        Some(2) => Ok((claim(Layout::Two), None)),
        Some(3) => Ok((claim(Layout::Three33), Some(claim(Layout::Three41)))),
        Some(&other) => Err(Reason::Version(other)),
    }
}

/// Whether a record of this header has room in what is left of the file.
pub fn fits(header: Header, left: u64) -> Claim {
    let need = header.record_len();
    if header.payload_len > u64::from(MAX_PAYLOAD) {
        Claim::Wrong(Reason::TooLong(header.payload_len))
    } else if need > left {
        Claim::Wrong(Reason::ShortRecord { need, left })
    } else {
        Claim::Fits(header)
    }
}

/// Why none of the claims holds. `Fits` counts as a wrong checksum.
///
/// A length over the limit is worse than other damage, since no crash makes
/// one. So it is only called that where both layouts of version 3 have one:
/// where the shorter has its length, the longer has half a timestamp.
pub fn why(first: Claim, second: Option<Claim>) -> Reason {
    let reason = |claim| match claim {
        Claim::Fits(_) => Reason::Checksum,
        Claim::Wrong(reason) => reason,
    };
    match (reason(first), second.map(reason)) {
        (Reason::TooLong(_), Some(second)) => second,
        (first, _) => first,
    }
}

/// The record at the start of `bytes`, which are all that is left of a file.
/// Records of versions 1 and 2 have term 1.
pub fn parse(bytes: &[u8]) -> std::result::Result<(Header, Record<'_>), Reason> {
    let head = &bytes[..bytes.len().min(MAX_HEADER)];
    let (first, second) = claims(head, bytes.len() as u64)?;
    for claim in [Some(first), second].into_iter().flatten() {
        let Claim::Fits(header) = claim else { continue };
        let end = header.payload_end() as usize;
        let crc = (header.layout != Layout::One).then(|| crc32(&bytes[SUMMED_FROM..end]));
        if crc.is_none() || crc == u32_at(bytes, end) {
            let record = Record {
                term: header.term.unwrap_or(1),
                lsn: header.lsn,
                timestamp: header.timestamp,
                payload: &bytes[header.layout.header_len()..end],
            };
            return Ok((header, record));
        }
    }
    Err(why(first, second))
}

/// Bytes that [`encode`] makes of a payload of this length.
pub fn encoded_len(payload_len: usize) -> usize {
    OVERHEAD + payload_len
}

/// Appends the record to `out` in version 3 with the header of 33 bytes.
///
/// Errors: [`ErrorKind::TooLarge`] for a payload above [`MAX_PAYLOAD`],
/// [`ErrorKind::Invalid`] for an LSN of 0 or 2^64-1. `out` is as it was then.
pub fn encode(record: &Record<'_>, out: &mut Vec<u8>) -> Result<()> {
    let (header, crc) = envelope(record)?;
    out.extend_from_slice(&header);
    out.extend_from_slice(record.payload);
    out.extend_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// What [`encode`] puts before and behind the payload, for who writes that by
/// itself. Errors are those of [`encode`].
pub fn envelope(record: &Record<'_>) -> Result<([u8; Layout::Three33.header_len()], u32)> {
    let len = record.payload.len();
    if len > MAX_PAYLOAD as usize {
        let text = format!("payload of {len} bytes, the limit is {MAX_PAYLOAD}");
        return Err(Error::new(ErrorKind::TooLarge, text));
    }
    if !is_lsn(record.lsn) {
        return Err(Error::invalid(format!("LSN {} is none", record.lsn)));
    }
    let mut header = [0; Layout::Three33.header_len()];
    header[..4].copy_from_slice(&MAGIC);
    header[4] = VERSION;
    header[5..13].copy_from_slice(&record.term.to_le_bytes());
    header[13..21].copy_from_slice(&record.lsn.to_le_bytes());
    header[21..29].copy_from_slice(&record.timestamp.to_le_bytes());
    header[29..].copy_from_slice(&(len as u32).to_le_bytes());
    let crc = crc32_append(crc32(&header[SUMMED_FROM..]), record.payload);
    Ok((header, crc))
}

/// Whether a record may have this LSN.
pub fn is_lsn(lsn: u64) -> bool {
    lsn != 0 && lsn != u64::MAX
}

/// Whether these bytes, up to 5, are how a record begins, or the front of it.
pub fn begins(bytes: &[u8]) -> bool {
    let known = bytes.len().min(MAGIC.len());
    let version = array_at::<1>(bytes, MAGIC.len());
    bytes[..known] == MAGIC[..known] && version.is_none_or(|[v]| (1..=VERSION).contains(&v))
}

/// CRC-32 (the IEEE polynomial), the checksum of this format alone.
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// The checksum of what `crc` is the checksum of, with `bytes` behind it.
pub fn crc32_append(crc: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(crc);
    hasher.update(bytes);
    hasher.finalize()
}

/// The checksum of bytes that have the checksum `front` followed by `len`
/// bytes that have the checksum `rest`.
pub fn crc32_combine(front: u32, rest: u32, len: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(front);
    hasher.combine(&crc32fast::Hasher::new_with_initial_len(rest, len));
    hasher.finalize()
}

/// The checksum of the last `len` bytes of what has the checksum `whole`,
/// where that of the bytes before them is `front`.
///
/// Checksums are linear: that of the whole is the front's, moved on by `len`
/// zeros, exclusive-or the rest's. So is the rest's found from the two.
pub fn crc32_rest(front: u32, whole: u32, len: u64) -> u32 {
    match len {
        0 => crc32(&[]),
        _ => crc32_combine(front, whole, len),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another implementation.
    fn other(bytes: &[u8]) -> u32 {
        crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes) as u32
    }

    #[test]
    fn the_checksum_is_that_of_ieee_and_linear() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        let bytes: Vec<u8> = (0..1500_u32).map(|i| (i * 31 + i / 7) as u8).collect();
        for len in [0, 1, 31, 300, 1023, 1500] {
            let whole = &bytes[..len];
            assert_eq!(crc32(whole), other(whole));
            for cut in [0, 1, len / 3, len].map(|c| c.min(len)) {
                let (front, rest) = whole.split_at(cut);
                let n = rest.len() as u64;
                assert_eq!(crc32_append(crc32(front), rest), crc32(whole));
                assert_eq!(crc32_combine(crc32(front), crc32(rest), n), crc32(whole));
                assert_eq!(crc32_rest(crc32(front), crc32(whole), n), crc32(rest));
            }
        }
    }

    #[test]
    fn a_record_is_written_to_the_byte() {
        let record = Record {
            term: 0x0102_0304_0506_0708,
            lsn: 0x1112_1314_1516_1718,
            timestamp: 0x2122_2324_2526_2728,
            payload: b"payload",
        };
        let mut bytes = Vec::new();
        encode(&record, &mut bytes).unwrap();
        let summed = [
            &b"\x03\x08\x07\x06\x05\x04\x03\x02\x01"[..],
            b"\x18\x17\x16\x15\x14\x13\x12\x11",
            b"\x28\x27\x26\x25\x24\x23\x22\x21",
            b"\x07\0\0\0payload",
        ]
        .concat();
        let crc = other(&summed).to_le_bytes();
        assert_eq!(bytes, [&b"RDLW"[..], &summed, &crc].concat());
        assert_eq!(bytes.len(), encoded_len(7));
        assert_eq!(parse(&bytes).unwrap().1, record);
    }

    #[test]
    fn what_no_record_has_is_not_written() {
        let record = |lsn, payload| Record {
            term: 1,
            lsn,
            timestamp: 1,
            payload,
        };
        let mut out = vec![9];
        for lsn in [0, u64::MAX] {
            let e = encode(&record(lsn, b""), &mut out).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Invalid);
        }
        let long = vec![0; MAX_PAYLOAD as usize + 1];
        let e = encode(&record(1, &long), &mut out).unwrap_err();
        assert_eq!((e.kind(), out.as_slice()), (ErrorKind::TooLarge, &[9][..]));
        encode(&record(u64::MAX - 1, &long[1..]), &mut out).unwrap();
        let (header, _) = parse(&out[1..]).unwrap();
        assert_eq!(header.payload_len, u64::from(MAX_PAYLOAD));
    }

    #[test]
    fn the_front_of_a_record_is_known() {
        for good in [&b""[..], b"R", b"RDLW", b"RDLW\x01", b"RDLW\x03"] {
            assert!(begins(good), "{good:?}");
        }
        for bad in [&b"D"[..], b"RDLX", b"RDLW\x00", b"RDLW\x04"] {
            assert!(!begins(bad), "{bad:?}");
        }
    }
}
