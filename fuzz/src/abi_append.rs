//! Records of any shape through the C ABI, into a spool in a directory of its
//! own: what is taken is what the order allows, and comes back whole.
//!
//! Pointers are valid wherever the header asks for it. Lengths that the header
//! lets the library refuse without looking may be any.

use super::abi_submit::{Bytes, MAX_DATA, Scratch, bytes};
use super::input::Input;
use epochwal::ffi::batch::ewal_slice;
use epochwal::ffi::options::{EWAL_SYNC_OFF, EWAL_SYNC_STYLE_BUFFERED};
use epochwal::ffi::record::ewal_record;
use epochwal::ffi::records::{
    ewal_records, ewal_records_get, ewal_records_release, ewal_spool_read_since,
};
use epochwal::ffi::spool::{
    ewal_spool, ewal_spool_close, ewal_spool_open, ewal_spool_submit, ewal_spool_ticket,
};
use epochwal::ffi::spool_options::{EWAL_RING_BYTES_OFF, EWAL_SPOOL_DENSE, ewal_spool_options};
use epochwal::ffi::status::{
    EWAL_E_FENCED, EWAL_E_INVALID, EWAL_E_ORDER, EWAL_E_TOO_LARGE, EWAL_OK,
};
use std::ffi::CString;
use std::ptr;

const MAX_RUNS: usize = 8;
const MAX_RECORDS: usize = 5;

type Kept = (u64, u64, u64, Vec<u8>);

/// What the next record must go on behind.
#[derive(Default)]
struct Model {
    term: u64,
    last: u64,
    dense: bool,
    kept: Vec<Kept>,
}

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mode = input.u8();
    let scratch = Scratch::new();
    let path = scratch.database();
    let mut model = Model {
        dense: mode & 1 != 0,
        ..Model::default()
    };
    let spool = open(mode, &path);
    for _ in 0..MAX_RUNS {
        if input.is_empty() {
            break;
        }
        submit(&mut input, spool, &mut model);
    }
    close(spool);
    let spool = open(mode, &path);
    assert_eq!(read(spool, usize::from(mode >> 4) + 1), model.kept);
    close(spool);
}

fn open(mode: u8, path: &CString) -> ewal_spool {
    // SAFETY: plain data.
    let mut options: ewal_spool_options = unsafe { std::mem::zeroed() };
    options.struct_size = size_of_val(&options) as u32;
    options.max_payload = MAX_DATA as u64;
    options.segment_size = 16 << 10;
    options.sync_policy = EWAL_SYNC_OFF;
    options.sync_style = EWAL_SYNC_STYLE_BUFFERED;
    options.flags = if mode & 1 != 0 { EWAL_SPOOL_DENSE } else { 0 };
    options.ring_bytes = if mode & 2 != 0 {
        EWAL_RING_BYTES_OFF
    } else {
        0
    };
    let mut spool = ewal_spool { id: 0 };
    // SAFETY: all pointers are valid; no error is asked for.
    let status = unsafe { ewal_spool_open(path.as_ptr(), &options, &mut spool, ptr::null_mut()) };
    assert_eq!(status, EWAL_OK, "open");
    spool
}

fn close(spool: ewal_spool) {
    // SAFETY: the handle is the library's, no error is asked for.
    let closed = unsafe { ewal_spool_close(spool, -1, ptr::null_mut()) };
    assert_eq!(closed, EWAL_OK);
}

/// Hands a run in. Numbers lie near those before, or are any.
fn submit(input: &mut Input<'_>, spool: ewal_spool, model: &mut Model) {
    let shape = input.u8();
    let count = input.u8() as usize % (MAX_RECORDS + 1);
    let (mut term, mut lsn) = (model.term.max(1), model.last);
    let mut given: Vec<(u64, u64)> = Vec::new();
    for _ in 0..count {
        term = match shape & 56 {
            8 => term.wrapping_sub(1),
            16.. if shape & 16 != 0 => input.u64(),
            32 => term.wrapping_add(1),
            _ => term,
        };
        lsn = match shape & 192 {
            64 => input.u64(),
            128 => lsn.wrapping_add(u64::from(input.u8() % 4)),
            192 => lsn.wrapping_sub(1),
            _ => lsn.wrapping_add(1),
        };
        given.push((term, lsn));
    }
    let payloads: Vec<(u64, Bytes)> = (0..count)
        .map(|_| (input.u64(), bytes(input, true)))
        .collect();
    let records: Box<[ewal_record]> = given
        .iter()
        .zip(&payloads)
        .map(|((term, lsn), (timestamp_ms, payload))| ewal_record {
            term: *term,
            lsn: *lsn,
            // 0 would be now.
            timestamp_ms: (*timestamp_ms).max(1),
            payload: payload.slice(),
        })
        .collect();
    let null = shape & 3 == 3;
    let told = if null { input.u64() as usize } else { count };
    let mut ticket = ewal_spool_ticket {
        epoch: 77,
        first_lsn: 77,
        last_lsn: 77,
    };
    let start = if null { ptr::null() } else { records.as_ptr() };
    // SAFETY: all pointers are valid for what the header lets the library
    // read; no error is asked for.
    let status = unsafe { ewal_spool_submit(spool, start, told, &mut ticket, ptr::null_mut()) };
    let good = !null && fits(&given, &payloads, model);
    assert_eq!(status == EWAL_OK, good, "{status}: {given:?}");
    if status != EWAL_OK {
        let refusals = [
            EWAL_E_INVALID,
            EWAL_E_TOO_LARGE,
            EWAL_E_ORDER,
            EWAL_E_FENCED,
        ];
        assert!(refusals.contains(&status), "submit: {status}");
        assert_eq!((ticket.epoch, ticket.last_lsn), (0, 0), "a ticket");
        return;
    }
    assert_eq!(ticket.first_lsn, given[0].1);
    for ((term, lsn), (timestamp, payload)) in given.into_iter().zip(payloads) {
        (model.term, model.last) = (term, lsn);
        let payload = payload.owned[..payload.told].to_vec();
        model.kept.push((term, lsn, timestamp.max(1), payload));
    }
    assert_eq!(ticket.last_lsn, model.last);
}

/// Whether all of a run may come next.
fn fits(given: &[(u64, u64)], payloads: &[(u64, Bytes)], model: &Model) -> bool {
    let (mut term, mut last) = (model.term, model.last);
    let rises = given.iter().all(|(t, l)| {
        let gap = model.dense && last > 0 && Some(*l) != last.checked_add(1);
        let next = *t >= term && *l > last && *l < u64::MAX && !gap;
        (term, last) = (*t, *l);
        next
    });
    let whole = |(_, p): &(u64, Bytes)| {
        p.told == 0 || (!p.null && p.told <= MAX_DATA && p.told == p.owned.len())
    };
    !given.is_empty() && rises && payloads.iter().all(whole)
}

/// All records, so many at a time.
fn read(spool: ewal_spool, at_once: usize) -> Vec<Kept> {
    let mut all: Vec<Kept> = Vec::new();
    loop {
        let at = all.last().map_or(0, |r| r.1);
        let mut records = ewal_records { id: 0 };
        let (mut start, mut n) = (ptr::null(), 0);
        // SAFETY: all pointers are valid, here and below; no error is asked for.
        let status = unsafe {
            ewal_spool_read_since(spool, at, at_once, 100_000, &mut records, ptr::null_mut())
        };
        assert_eq!(status, EWAL_OK, "read above {at}");
        // SAFETY: as above.
        let status = unsafe { ewal_records_get(records, &mut start, &mut n) };
        assert_eq!(status, EWAL_OK);
        assert!(n <= at_once);
        for i in 0..n {
            // SAFETY: the library's, until they are released.
            let record: &ewal_record = unsafe { &*start.add(i) };
            // SAFETY: as above.
            let payload = unsafe { copied(record.payload) };
            all.push((record.term, record.lsn, record.timestamp_ms, payload));
        }
        // SAFETY: they are not looked at any more.
        assert_eq!(unsafe { ewal_records_release(records) }, EWAL_OK);
        if n == 0 {
            return all;
        }
    }
}

/// # Safety
/// The slice is the library's, and valid.
unsafe fn copied(slice: ewal_slice) -> Vec<u8> {
    match slice.len {
        0 => Vec::new(),
        // SAFETY: the caller's promise.
        len => unsafe { std::slice::from_raw_parts(slice.data.cast::<u8>(), len) }.to_vec(),
    }
}
