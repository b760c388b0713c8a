//! The slot store of other software: one JSON object in one file.
//!
//! Slots hold back pruning, so reading errs on the side of refusing: what
//! can't be read exactly is an error, never a slot less or a number near the
//! one that was meant. Fields that are not known are passed over, because
//! nothing they may say can make a slot need more than its restart LSN.

use crate::error::{Error, ErrorKind, Result};
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;

/// Why a slot no longer holds anything back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// What it needed was removed.
    WalRemoved,
    /// It held back more than was allowed.
    Horizon,
    /// Its replica was not seen for too long.
    IdleTimeout,
}

impl Reason {
    const ALL: [Reason; 3] = [Reason::WalRemoved, Reason::Horizon, Reason::IdleTimeout];

    /// Its name in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::WalRemoved => "wal-removed",
            Reason::Horizon => "horizon",
            Reason::IdleTimeout => "idle-timeout",
        }
    }
}

/// A slot as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its name, in this file once.
    pub id: String,
    /// What its replica has durably.
    pub restart_lsn: u64,
    /// What its replica has applied.
    pub confirmed_lsn: u64,
    /// Milliseconds since the Unix epoch.
    pub last_seen_ms: u64,
    /// Where it is no longer valid: why, and since when (milliseconds).
    pub invalidated: Option<(Reason, u64)>,
}

/// Reads a store.
///
/// Integers are exact up to 2^64-1. Other writers kept them as doubles: one
/// with a fraction of 0 is accepted where it is below 2^64. `null` counts as
/// absent where a field may be absent.
///
/// Everything else is [`ErrorKind::Corrupt`], with the slot and the field
/// where one is to blame, and line and column: a file that is cut off or
/// holds more than the object, a field that is missing, given twice, negative,
/// fractional or of another type, an id given twice, an unknown reason, a
/// reason without its time or the other way round.
pub fn decode(bytes: &[u8]) -> Result<Vec<Slot>> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let slots = json.deserialize_map(Store).and_then(|slots| {
        json.end()?;
        Ok(slots)
    });
    slots.map_err(|e| Error::new(ErrorKind::Corrupt, format!("slot store: {e}")))
}

/// Writes a store that [`decode`] reads, and other software does.
pub fn encode(slots: &[Slot]) -> Vec<u8> {
    let mut out = String::from("{\n  \"slots\": [");
    for (i, slot) in slots.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        // A string has a form in JSON whatever it holds.
        let id = Value::from(slot.id.as_str());
        out += &format!("{comma}\n    {{\n      \"id\": {id},\n");
        out += &format!("      \"restart_lsn\": {},\n", slot.restart_lsn);
        out += &format!("      \"confirmed_lsn\": {},\n", slot.confirmed_lsn);
        out += &format!("      \"last_seen_at_unix_ms\": {}", slot.last_seen_ms);
        if let Some((reason, at)) = slot.invalidated {
            let reason = reason.name();
            out += &format!(",\n      \"invalidation_reason\": \"{reason}\"");
            out += &format!(",\n      \"invalidated_at_unix_ms\": {at}");
        }
        out += "\n    }";
    }
    out += if slots.is_empty() {
        "]\n}\n"
    } else {
        "\n  ]\n}\n"
    };
    out.into_bytes()
}

/// The object around the slots.
struct Store;

impl<'de> Visitor<'de> for Store {
    type Value = Vec<Slot>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with \"slots\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Vec<Slot>, A::Error> {
        let mut slots = None;
        while let Some(key) = map.next_key::<String>()? {
            if key != "slots" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if slots.is_some() {
                return Err(de::Error::duplicate_field("slots"));
            }
            slots = Some(map.next_value_seed(Slots)?);
        }
        slots.ok_or_else(|| de::Error::missing_field("slots"))
    }
}

/// The list of slots.
struct Slots;

impl<'de> de::DeserializeSeed<'de> for Slots {
    type Value = Vec<Slot>;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> std::result::Result<Vec<Slot>, D::Error> {
        d.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Slots {
    type Value = Vec<Slot>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"slots\" to be an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Vec<Slot>, A::Error> {
        let mut slots: Vec<Slot> = Vec::new();
        let mut ids = HashSet::new();
        while let Some(slot) = seq.next_element_seed(One(slots.len() + 1))? {
            if !ids.insert(slot.id.clone()) {
                let number = slots.len() + 1;
                let text = format!("slot {number}: id {:?} is there twice", slot.id);
                return Err(de::Error::custom(text));
            }
            slots.push(slot);
        }
        Ok(slots)
    }
}

/// A slot; its number in the list, for those who look for it.
struct One(usize);

impl<'de> de::DeserializeSeed<'de> for One {
    type Value = Slot;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> std::result::Result<Slot, D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for One {
    type Value = Slot;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {} to be an object", self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Slot, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key::<String>()? {
            let Some(place) = NAMES.iter().position(|name| *name == key) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if fields.0[place].is_some() {
                let text = format!("{}: {key} is there twice", self.name(&fields));
                return Err(de::Error::custom(text));
            }
            fields.0[place] = Some(map.next_value()?);
        }
        let name = self.name(&fields);
        fields.slot().map_err(|(field, what)| {
            let field = NAMES[field];
            de::Error::custom(format!("{name}: {field} {what}"))
        })
    }
}

impl One {
    fn name(&self, fields: &Fields) -> String {
        match &fields.0[ID] {
            Some(Value::String(id)) => format!("slot {} ({id:?})", self.0),
            _ => format!("slot {}", self.0),
        }
    }
}

const NAMES: [&str; 6] = [
    "id",
    "restart_lsn",
    "confirmed_lsn",
    "last_seen_at_unix_ms",
    "invalidation_reason",
    "invalidated_at_unix_ms",
];
const ID: usize = 0;
const RESTART: usize = 1;
const CONFIRMED: usize = 2;
const LAST_SEEN: usize = 3;
const REASON: usize = 4;
const INVALIDATED: usize = 5;

/// What a slot's fields hold, in the order of [`NAMES`].
#[derive(Default)]
struct Fields([Option<Value>; NAMES.len()]);

/// A field's number and what is wrong with it.
type Wrong = (usize, String);

impl Fields {
    fn slot(&self) -> std::result::Result<Slot, Wrong> {
        let reason = match self.optional(REASON) {
            None => None,
            Some(value) => Some(reason(value).ok_or((REASON, format!("is {value}")))?),
        };
        let at = match self.optional(INVALIDATED) {
            None => None,
            Some(_) => Some(self.integer(INVALIDATED)?),
        };
        let invalidated = match (reason, at) {
            (None, None) => None,
            (Some(reason), Some(at)) => Some((reason, at)),
            (Some(_), None) => return Err((INVALIDATED, "is missing".into())),
            (None, Some(_)) => return Err((REASON, "is missing".into())),
        };
        Ok(Slot {
            id: match self.required(ID)? {
                Value::String(id) => id.clone(),
                other => return Err((ID, format!("is {other}, no string"))),
            },
            restart_lsn: self.integer(RESTART)?,
            confirmed_lsn: self.integer(CONFIRMED)?,
            last_seen_ms: self.integer(LAST_SEEN)?,
            invalidated,
        })
    }

    fn required(&self, field: usize) -> std::result::Result<&Value, Wrong> {
        self.0[field].as_ref().ok_or((field, "is missing".into()))
    }

    fn optional(&self, field: usize) -> Option<&Value> {
        self.0[field].as_ref().filter(|value| !value.is_null())
    }

    fn integer(&self, field: usize) -> std::result::Result<u64, Wrong> {
        let value = self.required(field)?;
        let integer = value.as_u64().or_else(|| integral(value.as_f64()?));
        integer.ok_or_else(|| (field, format!("is {value}, no integer below 2^64")))
    }
}

fn reason(value: &Value) -> Option<Reason> {
    let name = value.as_str()?;
    Reason::ALL.into_iter().find(|reason| reason.name() == name)
}

/// A double's value where it is an integer that fits. All doubles of 2^53 and
/// above are integers; 2^64 is the first that does not fit.
fn integral(double: f64) -> Option<u64> {
    let fits = (0.0..18_446_744_073_709_551_616.0).contains(&double);
    (fits && double.fract() == 0.0).then_some(double as u64)
}
