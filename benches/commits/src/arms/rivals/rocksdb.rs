//! RocksDB: batches of puts with `sync` set; writers join a group.
//!
//! The system's library is loaded when the arm is opened: compiling RocksDB
//! takes longer than measuring everything.

use super::{page, until_idle};
use crate::arms::Arm;
use std::ffi::{CStr, CString, c_char, c_int, c_uchar, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::null_mut;
use turns::text;

const NAMES: [&str; 6] = [
    "librocksdb.so",
    "librocksdb.so.10",
    "librocksdb.so.9",
    "librocksdb.so.8",
    "librocksdb.so.7.8",
    "librocksdb.so.6",
];

/// Says where to get it, if it is not there.
pub fn check() -> Result<(), String> {
    Library::load().map(|_| ())
}

/// What is used of `rocksdb/c.h`.
#[derive(Clone, Copy)]
struct Library {
    options_create: unsafe extern "C" fn() -> *mut c_void,
    options_destroy: unsafe extern "C" fn(*mut c_void),
    options_set_create_if_missing: unsafe extern "C" fn(*mut c_void, c_uchar),
    open: unsafe extern "C" fn(*mut c_void, *const c_char, *mut *mut c_char) -> *mut c_void,
    close: unsafe extern "C" fn(*mut c_void),
    writeoptions_create: unsafe extern "C" fn() -> *mut c_void,
    writeoptions_destroy: unsafe extern "C" fn(*mut c_void),
    writeoptions_set_sync: unsafe extern "C" fn(*mut c_void, c_uchar),
    writebatch_create: unsafe extern "C" fn() -> *mut c_void,
    writebatch_destroy: unsafe extern "C" fn(*mut c_void),
    writebatch_put: unsafe extern "C" fn(*mut c_void, *const c_char, usize, *const c_char, usize),
    write: unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void, *mut *mut c_char),
    property_int: unsafe extern "C" fn(*mut c_void, *const c_char, *mut u64) -> c_int,
    free: unsafe extern "C" fn(*mut c_void),
}

impl Library {
    fn load() -> Result<Library, String> {
        // SAFETY: the library's constructors are those of a database that
        // thousands of programs link.
        let open = |name| unsafe { libloading::Library::new(name).ok() };
        let library = NAMES
            .into_iter()
            .find_map(open)
            .ok_or("librocksdb.so is not installed (Debian's librocksdb-dev has it)")?;
        // Never unloaded: its threads may outlive any database.
        let library: &'static libloading::Library = Box::leak(Box::new(library));
        /// The symbol, with the type of the field that it is for.
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: `rocksdb/c.h` declares the function with this type,
                // and has not changed it since version 5.
                unsafe { *library.get($name).map_err(text)? }
            };
        }
        Ok(Library {
            options_create: function!(c"rocksdb_options_create"),
            options_destroy: function!(c"rocksdb_options_destroy"),
            options_set_create_if_missing: function!(c"rocksdb_options_set_create_if_missing"),
            open: function!(c"rocksdb_open"),
            close: function!(c"rocksdb_close"),
            writeoptions_create: function!(c"rocksdb_writeoptions_create"),
            writeoptions_destroy: function!(c"rocksdb_writeoptions_destroy"),
            writeoptions_set_sync: function!(c"rocksdb_writeoptions_set_sync"),
            writebatch_create: function!(c"rocksdb_writebatch_create"),
            writebatch_destroy: function!(c"rocksdb_writebatch_destroy"),
            writebatch_put: function!(c"rocksdb_writebatch_put"),
            write: function!(c"rocksdb_write"),
            property_int: function!(c"rocksdb_property_int"),
            free: function!(c"rocksdb_free"),
        })
    }

    /// The error that a call left, if any.
    fn outcome(&self, error: *mut c_char) -> Result<(), String> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: a call that fails leaves a string of its own to free.
        unsafe {
            let message = CStr::from_ptr(error).to_string_lossy().into_owned();
            (self.free)(error.cast());
            Err(message)
        }
    }
}

pub struct Rocksdb {
    library: Library,
    database: *mut c_void,
    durable: *mut c_void,
}

// SAFETY: a RocksDB database takes calls from any thread at any time, and the
// write options are only read.
unsafe impl Send for Rocksdb {}
// SAFETY: as above.
unsafe impl Sync for Rocksdb {}

impl Rocksdb {
    pub fn open(dir: &Path) -> Result<Rocksdb, String> {
        let library = Library::load()?;
        let path = CString::new(dir.join("db").as_os_str().as_bytes()).map_err(text)?;
        let mut error = null_mut();
        // SAFETY: options live until the open returns, the path until then too.
        let database = unsafe {
            let options = (library.options_create)();
            (library.options_set_create_if_missing)(options, 1);
            let database = (library.open)(options, path.as_ptr(), &mut error);
            (library.options_destroy)(options);
            database
        };
        library.outcome(error)?;
        // SAFETY: fresh options, which live as long as the database.
        let durable = unsafe {
            let durable = (library.writeoptions_create)();
            (library.writeoptions_set_sync)(durable, 1);
            durable
        };
        Ok(Rocksdb {
            library,
            database,
            durable,
        })
    }

    fn figure(&self, property: &CStr) -> u64 {
        let mut value = 0;
        // SAFETY: the database is open, the name ends with NUL.
        unsafe { (self.library.property_int)(self.database, property.as_ptr(), &mut value) };
        value
    }
}

impl Arm for Rocksdb {
    fn commit(&self, thread: usize, batch: &[&[u8]]) -> Result<(), String> {
        let mut error = null_mut();
        // SAFETY: the batch copies what is put, and is this call's alone.
        unsafe {
            let write = (self.library.writebatch_create)();
            for (index, frame) in batch.iter().enumerate() {
                let key = page(thread, batch.len(), index).to_be_bytes();
                let (key, image) = (key.as_slice(), *frame);
                (self.library.writebatch_put)(
                    write,
                    key.as_ptr().cast(),
                    key.len(),
                    image.as_ptr().cast(),
                    image.len(),
                );
            }
            (self.library.write)(self.database, self.durable, write, &mut error);
            (self.library.writebatch_destroy)(write);
        }
        self.library.outcome(error)
    }

    fn settle(&self) -> Result<(), String> {
        until_idle(|| {
            self.figure(c"rocksdb.num-running-flushes") == 0
                && self.figure(c"rocksdb.num-running-compactions") == 0
        });
        Ok(())
    }
}

impl Drop for Rocksdb {
    fn drop(&mut self) {
        // SAFETY: both are ours, and no call is under way.
        unsafe {
            (self.library.writeoptions_destroy)(self.durable);
            (self.library.close)(self.database);
        }
    }
}
