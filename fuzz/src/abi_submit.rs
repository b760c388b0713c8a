//! Batches of any shape through the C ABI, into a log in a directory of its
//! own; what was accepted comes back, in order and whole.
//!
//! Pointers are valid wherever the header asks for it. Lengths that the
//! header lets the library refuse without looking may be any.

use super::input::Input;
use epochwal::ffi::batch::{ewal_batch, ewal_frame, ewal_slice, ewal_ticket};
use epochwal::ffi::coordinator::{
    ewal_coordinator, ewal_coordinator_close, ewal_coordinator_open, ewal_submit,
};
use epochwal::ffi::options::{
    EWAL_EPOCH_INTERVAL_OFF, EWAL_OVERFLOW_REFUSE, EWAL_OVERFLOW_SPILL,
    EWAL_SEQUENCING_COORDINATOR, EWAL_SYNC_OFF, EWAL_SYNC_STYLE_BUFFERED, ewal_coordinator_options,
};
use epochwal::ffi::recovery::{
    ewal_recovered_batch, ewal_recovery, ewal_recovery_close, ewal_recovery_next,
    ewal_recovery_open,
};
use epochwal::ffi::status::{
    EWAL_BUSY, EWAL_E_ABI, EWAL_E_INVALID, EWAL_E_TOO_LARGE, EWAL_END, EWAL_OK,
};
use std::ffi::CString;
use std::path::PathBuf;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

const MAX_BATCHES: usize = 8;
const MAX_FRAMES: usize = 4;
pub const MAX_DATA: usize = 65_536;
/// A lane that a few batches fill.
const CAPACITY: u64 = 64 << 10;

/// A directory that goes when it is dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("epochwal-fuzz-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a scratch directory");
        Scratch(path)
    }

    pub fn database(&self) -> CString {
        let path = self.0.join("test.db").into_os_string();
        CString::new(path.into_encoded_bytes()).expect("no NUL in a path")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Bytes and the length that the library is told.
pub struct Bytes {
    pub owned: Box<[u8]>,
    pub null: bool,
    pub told: usize,
}

impl Bytes {
    pub fn slice(&self) -> ewal_slice {
        ewal_slice {
            data: match self.null {
                true => ptr::null(),
                false => self.owned.as_ptr().cast(),
            },
            len: self.told,
        }
    }
}

/// Shape, then a length. A NULL may come with any length; a length above the
/// limit may be a lie where `lies` says that the library need not look.
pub fn bytes(input: &mut Input<'_>, lies: bool) -> Bytes {
    let shape = input.u8();
    let seed = input.u8();
    let wide = input.u64();
    let len = wide as usize % (MAX_DATA + 3);
    let len = if shape & 4 != 0 { len } else { len % 300 };
    let fill = (0..len).map(|i| seed.wrapping_add(i as u8));
    let lie = lies && shape & 2 != 0 && wide > MAX_DATA as u64;
    let null = shape & 1 != 0;
    Bytes {
        owned: fill.collect(),
        null,
        told: if lie || null { wide as usize } else { len },
    }
}

#[derive(Debug, PartialEq)]
struct Kept {
    epoch: u64,
    commit_seq: u64,
    txn_id: u64,
    txn_epoch: u32,
    frames: Vec<(u32, u32, Vec<u8>)>,
    metadata: Vec<u8>,
}

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mode = input.u8();
    let scratch = Scratch::new();
    let path = scratch.database();
    let wal = open(mode, &path);
    let mut kept = Vec::new();
    for _ in 0..MAX_BATCHES {
        if input.is_empty() {
            break;
        }
        kept.extend(submit(&mut input, wal, mode));
    }
    // SAFETY: the handle is the library's, no error is asked for.
    let closed = unsafe { ewal_coordinator_close(wal, -1, ptr::null_mut()) };
    assert_eq!(closed, EWAL_OK);
    kept.sort_by_key(|b| (b.epoch, b.commit_seq, b.txn_id, b.frames[0].0));
    assert_eq!(recover(&path), kept);
}

fn open(mode: u8, path: &CString) -> ewal_coordinator {
    // SAFETY: plain data.
    let mut options: ewal_coordinator_options = unsafe { std::mem::zeroed() };
    options.struct_size = size_of_val(&options) as u32;
    options.slot_count = 2;
    options.epoch_interval_ns = EWAL_EPOCH_INTERVAL_OFF;
    options.buffer_capacity = CAPACITY;
    options.max_memory = 4 << 20;
    options.max_batch_bytes = 200 << 10;
    options.segment_size = 1 << 20;
    options.sync_policy = EWAL_SYNC_OFF;
    options.sync_style = EWAL_SYNC_STYLE_BUFFERED;
    options.overflow_policy = match mode & 2 {
        0 => EWAL_OVERFLOW_SPILL,
        _ => EWAL_OVERFLOW_REFUSE,
    };
    options.sequencing = match mode & 1 {
        0 => 0,
        _ => EWAL_SEQUENCING_COORDINATOR,
    };
    let mut wal = ewal_coordinator { id: 0 };
    // SAFETY: all pointers are valid; no error is asked for.
    let status =
        unsafe { ewal_coordinator_open(path.as_ptr(), &options, &mut wal, ptr::null_mut()) };
    assert_eq!(status, EWAL_OK, "open");
    wal
}

/// Hands in a batch; gives what is to come back of it.
fn submit(input: &mut Input<'_>, wal: ewal_coordinator, mode: u8) -> Option<Kept> {
    let shape = input.u8();
    let count = input.u8() as usize % (MAX_FRAMES + 1);
    let (txn_epoch, txn_id, commit_seq) = (input.u32(), input.u64(), input.u64());
    let metadata = bytes(input, false);
    let data: Vec<(u32, u32, Bytes)> = (0..count)
        .map(|_| (input.u32(), input.u32(), bytes(input, true)))
        .collect();
    let frames: Box<[ewal_frame]> = data
        .iter()
        .map(|(page_number, db_size, data)| ewal_frame {
            page_number: *page_number,
            db_size_if_commit: *db_size,
            data: data.slice(),
        })
        .collect();
    let told = if shape & 3 == 3 {
        input.u64() as usize
    } else {
        count
    };
    let size = size_of::<ewal_batch>() as u32;
    let batch = ewal_batch {
        struct_size: if shape & 12 == 12 { size - 8 } else { size },
        txn_epoch,
        txn_id,
        commit_seq,
        frames: match shape & 3 {
            3 => ptr::null(),
            _ => frames.as_ptr(),
        },
        frame_count: told,
        metadata: metadata.slice(),
    };
    let mut ticket = ewal_ticket {
        epoch: 77,
        commit_seq: 77,
    };
    // SAFETY: all pointers are valid for what the header lets the library
    // read; no error is asked for.
    let status = unsafe { ewal_submit(wal, &batch, &mut ticket, ptr::null_mut()) };
    if status != EWAL_OK {
        let refusals = [EWAL_E_INVALID, EWAL_E_TOO_LARGE, EWAL_E_ABI, EWAL_BUSY];
        assert!(refusals.contains(&status), "submit: {status}");
        assert_eq!((ticket.epoch, ticket.commit_seq), (0, 0), "a ticket");
        return None;
    }
    assert!(batch.struct_size == size && told == count && count > 0 && txn_id != 0);
    assert!(data.iter().all(|(page, _, d)| {
        *page != 0 && d.told == d.owned.len() && (1..=MAX_DATA).contains(&d.told)
    }));
    assert!(metadata.told == 0 || (!metadata.null && metadata.told <= MAX_DATA));
    assert_eq!(mode & 1 != 0, commit_seq == 0, "who numbers the commits");
    Some(Kept {
        epoch: ticket.epoch,
        commit_seq: ticket.commit_seq,
        txn_id,
        txn_epoch,
        frames: data
            .into_iter()
            .map(|(page, size, data)| (page, size, data.owned.into_vec()))
            .collect(),
        metadata: metadata.owned[..metadata.told].to_vec(),
    })
}

/// # Safety
/// The slice is the library's, and valid.
unsafe fn copied(slice: ewal_slice) -> Vec<u8> {
    if slice.len == 0 {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(slice.data.cast::<u8>(), slice.len) }.to_vec()
}

fn recover(path: &CString) -> Vec<Kept> {
    let mut stream = ewal_recovery { id: 0 };
    let no_error: *mut epochwal::ffi::error::ewal_error = ptr::null_mut();
    // SAFETY: all pointers are valid; NULL options are the defaults.
    let status = unsafe { ewal_recovery_open(path.as_ptr(), ptr::null(), &mut stream, no_error) };
    assert_eq!(status, EWAL_OK, "recovery");
    let mut all = Vec::new();
    loop {
        // SAFETY: plain data, zeroed or filled by the library.
        let mut batch: ewal_recovered_batch = unsafe { std::mem::zeroed() };
        // SAFETY: all pointers are valid.
        let status = unsafe { ewal_recovery_next(stream, &mut batch, no_error) };
        if status == EWAL_END {
            break;
        }
        assert_eq!(status, EWAL_OK, "next");
        // SAFETY: borrowed from the stream until its next call.
        all.push(unsafe { owned(&batch) });
    }
    // SAFETY: the handle is the library's.
    assert_eq!(unsafe { ewal_recovery_close(stream) }, EWAL_OK);
    all
}

/// # Safety
/// The batch was just given by a stream.
unsafe fn owned(batch: &ewal_recovered_batch) -> Kept {
    // SAFETY: the caller's promise, here and below.
    let frames = unsafe { std::slice::from_raw_parts(batch.frames, batch.frame_count) };
    let frames = frames.iter().map(|frame| {
        // SAFETY: as above.
        let data = unsafe { copied(frame.data) };
        (frame.page_number, frame.db_size_if_commit, data)
    });
    Kept {
        epoch: batch.epoch,
        commit_seq: batch.commit_seq,
        txn_id: batch.txn_id,
        txn_epoch: batch.txn_epoch,
        frames: frames.collect(),
        // SAFETY: as above.
        metadata: unsafe { copied(batch.metadata) },
    }
}
