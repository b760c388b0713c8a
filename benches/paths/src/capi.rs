//! The C ABI's submit against Rust's: `ewal_submit` of the built shared
//! library, found by name as a program in C finds it.

use crate::log::{frames, options_without_ticker};
use crate::sides::{Finding, Plan, side};
use crate::submit::{Shape, rate, rust_rate};
use epochwal::Coordinator;
use libloading::Library;
use std::ffi::{CStr, CString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::null_mut;
use turns::{Goal, text};

const SHAPES: [Shape; 3] = [
    Shape {
        frames: 8,
        bytes: 4096,
    },
    Shape {
        frames: 1,
        bytes: 4096,
    },
    Shape {
        frames: 1,
        bytes: 128,
    },
];

pub fn measure(plan: &Plan) -> Result<Vec<Finding>, String> {
    let Some(library) = &plan.library else {
        eprintln!("capi is left out: --library names no shared library");
        return Ok(Vec::new());
    };
    let dir = plan.scratch.subdir()?;
    let rust = Coordinator::open(&dir.path().join("rust"), &options_without_ticker());
    let rust = rust.map_err(text)?;
    let c = Handle::open(library, &dir.path().join("c"))?;
    let compare = |shape: Shape| {
        let images = shape.images();
        let frames = frames(&images);
        let c_frames: Vec<ewal::Frame> = frames.iter().map(ewal::Frame::of).collect();
        Finding::in_turns(
            plan,
            format!("submit, {} x {} bytes", shape.frames, shape.bytes),
            "MB/s",
            Some(Goal::AtLeast(0.97)),
            side("C", || {
                let rate = rate(plan.turn, shape, || c.submit(&c_frames), || c.flush())?;
                c.checkpoint()?;
                Ok(rate)
            }),
            side("Rust", || rust_rate(plan.turn, shape, &rust, &frames)),
        )
    };
    SHAPES.into_iter().map(compare).collect()
}

/// `epochwal.h`, as much as is used of it.
mod ewal {
    use super::{c_char, c_void};

    pub const CALLER_NUMBERS_NOTHING: u32 = 2;
    pub const EPOCH_INTERVAL_OFF: u64 = u64::MAX;

    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct Coordinator {
        pub id: u64,
    }

    #[repr(C)]
    pub struct Slice {
        pub data: *const c_void,
        pub len: usize,
    }

    #[repr(C)]
    pub struct Frame {
        pub page_number: u32,
        pub db_size_if_commit: u32,
        pub data: Slice,
    }

    impl Frame {
        /// Borrows: valid while the other frame's bytes are.
        pub fn of(frame: &epochwal::Frame) -> Frame {
            Frame {
                page_number: frame.page_number,
                db_size_if_commit: frame.db_size_if_commit,
                data: Slice {
                    data: frame.data.as_ptr().cast(),
                    len: frame.data.len(),
                },
            }
        }
    }

    #[repr(C)]
    pub struct Batch {
        pub struct_size: u32,
        pub txn_epoch: u32,
        pub txn_id: u64,
        pub commit_seq: u64,
        pub frames: *const Frame,
        pub frame_count: usize,
        pub metadata: Slice,
    }

    #[repr(C)]
    #[derive(Default)]
    pub struct Ticket {
        pub epoch: u64,
        pub commit_seq: u64,
    }

    #[repr(C)]
    pub struct Error {
        pub struct_size: u32,
        pub code: i32,
        pub os_errno: i32,
        pub message: [c_char; 240],
    }

    #[repr(C)]
    #[derive(Default)]
    pub struct Options {
        pub struct_size: u32,
        pub flags: u32,
        pub slot_count: u32,
        pub overflow_policy: u32,
        pub sync_policy: u32,
        pub sync_style: u32,
        pub segment_format: u32,
        pub sequencing: u32,
        pub epoch_interval_ns: u64,
        pub buffer_capacity: u64,
        pub block_timeout_ns: u64,
        pub max_memory: u64,
        pub max_batch_bytes: u64,
        pub max_log_bytes: u64,
        pub segment_size: u64,
        pub database_id: [u8; 16],
    }

    pub type Open =
        unsafe extern "C" fn(*const c_char, *const Options, *mut Coordinator, *mut Error) -> i32;
    pub type Submit =
        unsafe extern "C" fn(Coordinator, *const Batch, *mut Ticket, *mut Error) -> i32;
    pub type Flush = unsafe extern "C" fn(Coordinator, i64, *mut u64, *mut Error) -> i32;
    pub type Checkpoint = unsafe extern "C" fn(Coordinator, u64, *mut Error) -> i32;
    pub type Close = unsafe extern "C" fn(Coordinator, i64, *mut Error) -> i32;
}

/// A coordinator behind the C ABI.
struct Handle {
    id: ewal::Coordinator,
    submit: ewal::Submit,
    flush: ewal::Flush,
    checkpoint: ewal::Checkpoint,
    close: ewal::Close,
    _library: Library,
}

impl Handle {
    fn open(library: &Path, database: &Path) -> Result<Handle, String> {
        let path = CString::new(database.as_os_str().as_bytes()).map_err(text)?;
        let options = ewal::Options {
            struct_size: size_of::<ewal::Options>() as u32,
            sequencing: ewal::CALLER_NUMBERS_NOTHING,
            epoch_interval_ns: ewal::EPOCH_INTERVAL_OFF,
            ..ewal::Options::default()
        };
        let (mut id, mut error) = (ewal::Coordinator { id: 0 }, no_error());
        // SAFETY: the library is this project's, its functions have the types
        // that its header says, and all that is pointed to lives on.
        unsafe {
            let library =
                Library::new(library).map_err(|e| format!("{}: {e}", library.display()))?;
            let open = *library
                .get::<ewal::Open>(c"ewal_coordinator_open")
                .map_err(text)?;
            outcome(open(path.as_ptr(), &options, &mut id, &mut error), &error)?;
            Ok(Handle {
                id,
                submit: *library.get(c"ewal_submit").map_err(text)?,
                flush: *library.get(c"ewal_flush").map_err(text)?,
                checkpoint: *library.get(c"ewal_checkpoint").map_err(text)?,
                close: *library.get(c"ewal_coordinator_close").map_err(text)?,
                _library: library,
            })
        }
    }

    /// With a fresh batch, ticket and error each time, as a program has them.
    fn submit(&self, frames: &[ewal::Frame]) -> Result<(), String> {
        let batch = ewal::Batch {
            struct_size: size_of::<ewal::Batch>() as u32,
            txn_epoch: 0,
            txn_id: 1,
            commit_seq: 0,
            frames: frames.as_ptr(),
            frame_count: frames.len(),
            metadata: ewal::Slice {
                data: null_mut(),
                len: 0,
            },
        };
        let (mut ticket, mut error) = (ewal::Ticket::default(), no_error());
        // SAFETY: the frames' bytes outlive them, the rest is this call's.
        let status = unsafe { (self.submit)(self.id, &batch, &mut ticket, &mut error) };
        outcome(status, &error)
    }

    fn flush(&self) -> Result<(), String> {
        let mut error = no_error();
        // SAFETY: the epoch is not asked for.
        let status = unsafe { (self.flush)(self.id, -1, null_mut(), &mut error) };
        outcome(status, &error)
    }

    fn checkpoint(&self) -> Result<(), String> {
        let (mut epoch, mut error) = (0, no_error());
        // SAFETY: both are this call's.
        let status = unsafe { (self.flush)(self.id, -1, &mut epoch, &mut error) };
        outcome(status, &error)?;
        // SAFETY: as above.
        let status = unsafe { (self.checkpoint)(self.id, epoch, &mut error) };
        outcome(status, &error)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the last call with this handle.
        unsafe { (self.close)(self.id, -1, null_mut()) };
    }
}

fn no_error() -> ewal::Error {
    ewal::Error {
        struct_size: size_of::<ewal::Error>() as u32,
        code: 0,
        os_errno: 0,
        message: [0; 240],
    }
}

fn outcome(status: i32, error: &ewal::Error) -> Result<(), String> {
    if status == 0 {
        return Ok(());
    }
    // SAFETY: the message ends with NUL, from the start and after any call.
    let message = unsafe { CStr::from_ptr(error.message.as_ptr()) };
    Err(format!("status {status}: {}", message.to_string_lossy()))
}
