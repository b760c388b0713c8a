//! Every structure of the format, field by field, without a gap: a field
//! begins where the one before it ends.

use epochwal::format::group::{CERTIFICATE, GROUP_HEADER};
use epochwal::format::item::{FRAME_HEADER, ITEM_HEADER};
use epochwal::format::state::STATE_COPY;
use epochwal::format::{prelude, v1};
use std::ops::Range;

/// Fields by name, each with its end.
pub struct Structure {
    pub name: &'static str,
    fields: &'static [(&'static str, usize)],
}

impl Structure {
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, Range<usize>)> {
        let starts = std::iter::once(0).chain(self.fields.iter().map(|f| f.1));
        starts
            .zip(self.fields)
            .map(|(start, (name, end))| (*name, start..*end))
    }

    fn len(&self) -> usize {
        self.fields.last().unwrap().1
    }
}

pub const PRELUDE: Structure = Structure {
    name: "prelude",
    fields: &[
        ("magic", 4),
        ("version", 6),
        ("flags", 8),
        ("epoch", 16),
        ("count", 20),
        ("crc", 24),
    ],
};

pub const HEADER: Structure = Structure {
    name: "header",
    fields: &[
        ("magic", 4),
        ("version", 6),
        ("flags", 8),
        ("epoch", 16),
        ("items", 20),
        ("prelude crc", 24),
        ("kind", 25),
        ("0", 28),
        ("link", 32),
        ("log identity", 48),
        ("generation", 56),
        ("first epoch", 64),
        ("segment size", 72),
        ("position", 80),
        ("length", 88),
        ("payload length", 96),
        ("watermark", 104),
        ("previous epoch", 112),
        ("0", 124),
        ("crc", 128),
    ],
};

pub const ITEM: Structure = Structure {
    name: "item",
    fields: &[
        ("crc", 4),
        ("length", 8),
        ("type", 9),
        ("0", 10),
        ("lane", 12),
        ("transaction epoch", 16),
        ("transaction id", 24),
        ("commit sequence", 32),
        ("frames", 36),
        ("metadata length", 40),
        ("database size", 44),
        ("0", 48),
    ],
};

/// The item of a logical record, of which the first fields are those of [`ITEM`].
const RECORD_ITEM: Structure = Structure {
    name: "record item",
    fields: &[
        ("as of any item", 12),
        ("0", 16),
        ("term", 24),
        ("LSN", 32),
        ("0", 36),
        ("payload length", 40),
        ("timestamp", 48),
    ],
};

pub const FRAME: Structure = Structure {
    name: "frame",
    fields: &[("page number", 4), ("db_size_if_commit", 8), ("length", 12)],
};

pub const LANE_ENTRY: Structure = Structure {
    name: "lane table entry",
    fields: &[("lane", 4), ("items", 8)],
};

pub const CERTIFICATE_FIELDS: Structure = Structure {
    name: "certificate",
    fields: &[
        ("magic", 4),
        ("version", 6),
        ("flags", 8),
        ("epoch", 16),
        ("lowest sequence", 24),
        ("highest sequence", 32),
        ("first epoch", 40),
        ("pages", 48),
        ("items", 52),
        ("lanes", 56),
        ("lane table entries", 60),
        ("database size", 64),
        ("payload length", 72),
        ("payload checksum", 76),
        ("header checksum", 80),
        ("0", 92),
        ("crc", 96),
    ],
};

pub const STATE: Structure = Structure {
    name: "state",
    fields: &[
        ("magic", 8),
        ("version", 12),
        ("flags", 16),
        ("update number", 24),
        ("log identity", 40),
        ("database identity", 56),
        ("next epoch", 64),
        ("floor", 72),
        ("retired first epoch", 80),
        ("retired generation", 88),
        ("newest generation", 96),
        ("first epoch of the newest segment", 104),
        ("highest commit sequence", 112),
        ("watermark", 120),
        ("kind", 121),
        ("0", 128),
        ("pruned through", 136),
        ("quorum watermark", 144),
        ("number of terms", 148),
        ("0", 152),
        ("terms", 3992),
        ("lost ranges", 4088),
        ("0", 4092),
        ("crc", 4096),
    ],
};

/// A record of version 1 with an end sequence, behind its length and up to
/// where the images begin; the second length stands behind the first image.
pub const RECORD: Structure = Structure {
    name: "record",
    fields: &[
        ("length", 4),
        ("transaction id", 12),
        ("transaction epoch", 16),
        ("epoch", 24),
        ("page number", 28),
        ("begin sequence", 36),
        ("end-sequence flag", 37),
        ("end sequence", 45),
        ("length of the before-image", 49),
        ("length of the after-image", 53),
    ],
};

const LENGTH_AND_END_SEQ: usize = 4 + 8;

#[test]
fn every_byte_of_every_structure_is_in_a_field() {
    for (structure, len) in [
        (PRELUDE, prelude::LEN),
        (HEADER, GROUP_HEADER),
        (ITEM, ITEM_HEADER),
        (FRAME, FRAME_HEADER),
        (LANE_ENTRY, 8),
        (CERTIFICATE_FIELDS, CERTIFICATE),
        (STATE, STATE_COPY),
        (RECORD, v1::MIN_RECORD_BYTES + LENGTH_AND_END_SEQ),
    ] {
        assert_eq!(structure.len(), len, "{}", structure.name);
        assert!(structure.fields().all(|(_, range)| !range.is_empty()));
    }
}

/// The tables of bytes in the document, in their order: the ends of their rows.
fn documented() -> Vec<Vec<usize>> {
    let text = include_str!("../../docs/format.md");
    let mut tables: Vec<Vec<usize>> = Vec::new();
    for line in text.lines() {
        let Some(range) = line.strip_prefix("| ").and_then(|l| l.split(" |").next()) else {
            continue;
        };
        let Some((start, end)) = range.split_once("..") else {
            continue;
        };
        let Ok(start) = start.parse::<usize>() else {
            continue;
        };
        if start == 0 {
            tables.push(Vec::new());
        }
        let table = tables.last_mut().expect("a table begins at 0");
        assert_eq!(start, table.last().copied().unwrap_or(0), "a gap: {line}");
        // What is behind the fields of an item has no end.
        table.extend(end.parse::<usize>());
    }
    tables
}

/// The fields here are those of the document, to the byte.
#[test]
fn the_fields_are_the_documents() {
    let ends = |s: &Structure| s.fields().map(|(_, range)| range.end).collect::<Vec<_>>();
    let mut header = ends(&HEADER);
    // The document has the prelude, its six fields, as one.
    header.drain(..5);
    let tables = documented();
    // Those of a log come first; the slot store has tests of its own.
    assert_eq!(
        tables[..6],
        [
            ends(&PRELUDE),
            header,
            ends(&ITEM),
            ends(&RECORD_ITEM),
            ends(&CERTIFICATE_FIELDS),
            ends(&STATE),
        ]
    );
}
