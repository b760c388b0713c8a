//! The C ABI's submit, as a program in C calls it. (Called directly: how a
//! shared library reaches its thread-local variables is not counted.)

use epochwal::ffi::batch::{ewal_batch, ewal_frame, ewal_slice, ewal_ticket};
use epochwal::ffi::coordinator::*;
use epochwal::ffi::error::{EWAL_MESSAGE_BYTES, ewal_error};
use epochwal::ffi::options::{EWAL_EPOCH_INTERVAL_OFF, ewal_coordinator_options};
use epochwal::ffi::status::{EWAL_OK, ewal_status};
use epochwal::ffi::wait::ewal_flush;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{null, null_mut};

/// A coordinator behind the C ABI.
pub struct Handle(ewal_coordinator);

impl Handle {
    pub fn open(db: &Path) -> Result<Handle, String> {
        let path = CString::new(db.as_os_str().as_bytes()).map_err(|e| e.to_string())?;
        // SAFETY: integers, for which zeros are the defaults.
        let mut options: ewal_coordinator_options = unsafe { std::mem::zeroed() };
        options.struct_size = size_of::<ewal_coordinator_options>() as u32;
        // Nobody flushes but who is counted.
        options.epoch_interval_ns = EWAL_EPOCH_INTERVAL_OFF;
        let (mut out, mut error) = (ewal_coordinator { id: 0 }, no_error());
        // SAFETY: all that is pointed to outlives the call.
        let status =
            unsafe { ewal_coordinator_open(path.as_ptr(), &options, &mut out, &mut error) };
        outcome(status, &error).map(|()| Handle(out))
    }

    /// With a fresh batch, ticket and error each time, as a program has them.
    pub fn submit(&self, number: u64, frames: &[ewal_frame]) -> Result<(), String> {
        let batch = ewal_batch {
            struct_size: size_of::<ewal_batch>() as u32,
            txn_epoch: 0,
            txn_id: number,
            commit_seq: number,
            frames: frames.as_ptr(),
            frame_count: frames.len(),
            metadata: ewal_slice {
                data: null(),
                len: 0,
            },
        };
        let mut ticket = ewal_ticket {
            epoch: 0,
            commit_seq: 0,
        };
        let mut error = no_error();
        // SAFETY: the frames' bytes outlive them, the rest is this call's.
        let status = unsafe { ewal_submit(self.0, &batch, &mut ticket, &mut error) };
        outcome(status, &error)
    }

    pub fn flush(&self) -> Result<(), String> {
        let mut error = no_error();
        // SAFETY: the epoch is not asked for.
        let status = unsafe { ewal_flush(self.0, -1, null_mut(), &mut error) };
        outcome(status, &error)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the last call with this handle.
        unsafe { ewal_coordinator_close(self.0, -1, null_mut()) };
    }
}

/// Frames of these images: valid while they are.
pub fn frames(pages: &[Vec<u8>]) -> Vec<ewal_frame> {
    let numbered = pages.iter().zip(1..);
    let frames = numbered.map(|(data, page_number)| ewal_frame {
        page_number,
        db_size_if_commit: 0,
        data: ewal_slice {
            data: data.as_ptr().cast(),
            len: data.len(),
        },
    });
    frames.collect()
}

fn no_error() -> ewal_error {
    ewal_error {
        struct_size: size_of::<ewal_error>() as u32,
        code: EWAL_OK,
        os_errno: 0,
        message: [0; EWAL_MESSAGE_BYTES],
        reserved: 0,
        lsn: 0,
        staged_epoch: 0,
    }
}

fn outcome(status: ewal_status, error: &ewal_error) -> Result<(), String> {
    if status == EWAL_OK {
        return Ok(());
    }
    // SAFETY: the message ends with NUL, from the start and after any call.
    let message = unsafe { CStr::from_ptr(error.message.as_ptr()) };
    Err(format!("status {status}: {}", message.to_string_lossy()))
}
