//! The slot store of other software: read exactly, or refused by name.

use epochwal::ErrorKind;
use epochwal::format::slots_json::{Reason, Slot, decode, encode};
use proptest::collection::vec;
use proptest::prelude::*;
use std::fs;
use std::path::Path;

fn golden(name: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rdlw");
    fs::read(root.join(format!("{name}.rdb.logical.slots.json"))).unwrap()
}

fn slot(id: &str, restart_lsn: u64) -> Slot {
    Slot {
        id: id.into(),
        restart_lsn,
        confirmed_lsn: restart_lsn,
        last_seen_ms: 1_700_000_000_000,
        invalidated: None,
    }
}

/// What a store with this is refused for.
fn refused(json: &str) -> String {
    let e = decode(json.as_bytes()).expect_err(json);
    assert_eq!(e.kind(), ErrorKind::Corrupt, "{json}: {e}");
    e.message().to_owned()
}

/// A slot with one field replaced, left out (`None`) or added.
fn with(field: &str, value: Option<&str>) -> String {
    let mut fields = vec![
        ("id", "\"b\""),
        ("restart_lsn", "5"),
        ("confirmed_lsn", "6"),
        ("last_seen_at_unix_ms", "7"),
        ("invalidation_reason", "\"horizon\""),
        ("invalidated_at_unix_ms", "8"),
    ];
    fields.retain(|(name, _)| *name != field);
    fields.extend(value.map(|value| (field, value)));
    let fields: Vec<String> = fields.iter().map(|(n, v)| format!("{n:?}: {v}")).collect();
    let first = r#"{"id": "a", "restart_lsn": 1, "confirmed_lsn": 1, "last_seen_at_unix_ms": 1}"#;
    format!("{{\"slots\": [{first}, {{{}}}]}}", fields.join(", "))
}

#[test]
fn numbers_that_were_written_as_doubles_are_read() {
    let slots = decode(&golden("slots-as-doubles")).unwrap();
    let mut expected: Vec<Slot> = (0..4)
        .map(|i| Slot {
            id: format!("replica-{i}"),
            restart_lsn: 5 + i,
            confirmed_lsn: 10 + i,
            last_seen_ms: 1_700_000_000_000 + i,
            invalidated: None,
        })
        .collect();
    expected.push(Slot {
        invalidated: Some((Reason::Horizon, 1_700_000_000_000)),
        ..slot("gone", 1)
    });
    assert_eq!(slots, expected);
}

#[test]
fn a_file_that_is_cut_off_is_refused_at_any_length() {
    let cut = golden("slots-damaged");
    assert_eq!(decode(&cut).unwrap_err().kind(), ErrorKind::Corrupt);
    let mut whole = encode(&[slot("a", 1), slot("b", 2)]);
    whole.pop();
    decode(&whole).unwrap();
    for len in 0..whole.len() {
        let e = decode(&whole[..len]).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Corrupt, "cut to {len}");
        assert!(e.message().contains("line"), "{e}");
    }
}

#[test]
fn integers_are_exact_and_doubles_are_what_they_say() {
    let read = |number: &str| {
        let slots = decode(with("restart_lsn", Some(number)).as_bytes());
        slots.map(|slots| slots[1].restart_lsn)
    };
    let near: [u64; 7] = [
        0,
        (1 << 53) - 1,
        1 << 53,
        (1 << 53) + 1,
        1 << 63,
        u64::MAX - 1,
        u64::MAX,
    ];
    for number in near {
        assert_eq!(read(&number.to_string()).unwrap(), number);
    }
    for (text, number) in [
        ("5.0", 5),
        ("5e0", 5),
        ("1e3", 1000),
        ("1.5E1", 15),
        ("0.0", 0),
        ("1700000000000.0", 1_700_000_000_000),
        ("9007199254740994.0", (1 << 53) + 2),
        // The shortest decimals of doubles that a sloppy reader misses by one.
        ("1.2345678901234567e18", 1_234_567_890_123_456_768),
        ("9223372036854775807.0", 1 << 63),
        ("1.8446744073709550e19", 18_446_744_073_709_549_568),
    ] {
        assert_eq!(read(text).unwrap(), number, "{text}");
    }
    for text in [
        "-1",
        "-1.0",
        "5.5",
        "0.1",
        "1e-3",
        "18446744073709551616",
        "18446744073709551615.0",
        "1e20",
        "1e308",
        "NaN",
        "Infinity",
        "\"5\"",
        "true",
        "null",
        "[5]",
        "{}",
        "05",
        "+5",
        "5.",
    ] {
        let e = read(text).expect_err(text);
        assert_eq!(e.kind(), ErrorKind::Corrupt, "{text}: {e}");
    }
}

#[test]
fn what_is_refused_is_named() {
    let rows = [
        ("id", None, "slot 2: id is missing"),
        ("id", Some("7"), "slot 2: id is 7, no string"),
        ("id", Some("null"), "slot 2: id is null"),
        ("id", Some("\"a\""), "slot 2: id \"a\" is there twice"),
        (
            "restart_lsn",
            None,
            "slot 2 (\"b\"): restart_lsn is missing",
        ),
        (
            "restart_lsn",
            Some("-1"),
            "slot 2 (\"b\"): restart_lsn is -1",
        ),
        (
            "restart_lsn",
            Some("1.5"),
            "slot 2 (\"b\"): restart_lsn is 1.5",
        ),
        (
            "restart_lsn",
            Some("null"),
            "slot 2 (\"b\"): restart_lsn is null",
        ),
        ("confirmed_lsn", None, "(\"b\"): confirmed_lsn is missing"),
        (
            "confirmed_lsn",
            Some("\"6\""),
            "(\"b\"): confirmed_lsn is \"6\"",
        ),
        (
            "last_seen_at_unix_ms",
            None,
            "(\"b\"): last_seen_at_unix_ms is missing",
        ),
        ("last_seen_at_unix_ms", Some("1e400"), "out of range"),
        (
            "invalidation_reason",
            Some("\"expired\""),
            "(\"b\"): invalidation_reason is \"expired\"",
        ),
        (
            "invalidation_reason",
            Some("\"Horizon\""),
            "invalidation_reason is \"Horizon\"",
        ),
        (
            "invalidation_reason",
            Some("3"),
            "(\"b\"): invalidation_reason is 3",
        ),
        (
            "invalidation_reason",
            None,
            "(\"b\"): invalidation_reason is missing",
        ),
        (
            "invalidation_reason",
            Some("null"),
            "(\"b\"): invalidation_reason is missing",
        ),
        (
            "invalidated_at_unix_ms",
            None,
            "(\"b\"): invalidated_at_unix_ms is missing",
        ),
        (
            "invalidated_at_unix_ms",
            Some("-8"),
            "(\"b\"): invalidated_at_unix_ms is -8",
        ),
    ];
    for (field, value, saying) in rows {
        let message = refused(&with(field, value));
        assert!(message.contains(saying), "{field}: {value:?}: {message}");
    }
    let twice = with("more", Some("1, \"restart_lsn\": 5"));
    assert!(refused(&twice).contains("(\"b\"): restart_lsn is there twice"));
}

#[test]
fn what_is_no_store_is_refused() {
    for (json, saying) in [
        ("", "EOF"),
        ("null", "an object with \"slots\""),
        ("[]", "an object with \"slots\""),
        ("{}", "missing field `slots`"),
        ("{\"slots\": null}", "to be an array"),
        ("{\"slots\": {}}", "to be an array"),
        ("{\"slots\": [7]}", "slot 1 to be an object"),
        ("{\"slots\": [[]]}", "slot 1 to be an object"),
        ("{\"slots\": [], \"slots\": []}", "duplicate field `slots`"),
        ("{\"slots\": []} x", "trailing characters"),
        ("{\"slots\": []}{", "trailing characters"),
        ("{\"slots\": [],}", "trailing comma"),
        ("\u{feff}{\"slots\": []}", "expected value"),
    ] {
        let message = refused(json);
        assert!(message.contains(saying), "{json}: {message}");
    }
    let e = decode(b"{\"slots\": [{\"id\": \"\xff\"}]}").unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Corrupt, "{e}");
    let deep = format!("{{\"x\": {}", "[".repeat(100_000));
    refused(&deep);
    refused(&with("more", Some(&"[".repeat(100_000))));
}

#[test]
fn what_is_not_known_is_passed_over_and_null_is_absent() {
    let json = with("region", Some("{\"name\": [\"eu\", null]}"));
    assert_eq!(decode(json.as_bytes()).unwrap().len(), 2);
    let json = format!("{{\"version\": 9, {}", &with("x", Some("1.5"))[1..]);
    assert_eq!(decode(json.as_bytes()).unwrap().len(), 2);
    let json = with("invalidation_reason", Some("null"));
    let json = json.replace(
        "\"invalidated_at_unix_ms\": 8",
        "\"invalidated_at_unix_ms\": null",
    );
    assert_eq!(decode(json.as_bytes()).unwrap()[1].invalidated, None);
}

#[test]
fn a_store_is_written_as_documented() {
    assert_eq!(encode(&[]), b"{\n  \"slots\": []\n}\n");
    let invalid = Slot {
        confirmed_lsn: 6,
        invalidated: Some((Reason::IdleTimeout, 9)),
        ..slot("x\"\n", u64::MAX)
    };
    let json: serde_json::Value = serde_json::from_slice(&encode(&[invalid])).unwrap();
    let expected = serde_json::json!({"slots": [{
        "id": "x\"\n",
        "restart_lsn": u64::MAX,
        "confirmed_lsn": 6,
        "last_seen_at_unix_ms": 1_700_000_000_000_u64,
        "invalidation_reason": "idle-timeout",
        "invalidated_at_unix_ms": 9,
    }]});
    assert_eq!(json, expected);
}

fn any_slot() -> impl Strategy<Value = Slot> {
    let reason = prop_oneof![
        Just(Reason::WalRemoved),
        Just(Reason::Horizon),
        Just(Reason::IdleTimeout)
    ];
    let invalidated = prop::option::of((reason, any::<u64>()));
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>());
    (".{0,12}", numbers, invalidated).prop_map(|(id, numbers, invalidated)| Slot {
        id,
        restart_lsn: numbers.0,
        confirmed_lsn: numbers.1,
        last_seen_ms: numbers.2,
        invalidated,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(mut slots in vec(any_slot(), 0..6)) {
        let mut ids = std::collections::HashSet::new();
        slots.retain(|slot| ids.insert(slot.id.clone()));
        prop_assert_eq!(decode(&encode(&slots)).unwrap(), slots);
    }

    /// A damaged store is refused, or reads as one that can be written.
    #[test]
    fn any_changed_byte_is_judged(at in 0usize..1000, byte in any::<u8>()) {
        let mut bytes = golden("slots-as-doubles");
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(slots) = decode(&bytes) {
            prop_assert_eq!(decode(&encode(&slots)).unwrap(), slots);
        }
    }
}
