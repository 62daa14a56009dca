//! A disk that fails: SQLite's own way to files, but for a write or a sync that a test has fail.
//!
//! SQLite reaches files through a table of functions (a VFS). The one here stands before SQLite's
//! default and passes everything on. Only files of folders that a test has named are watched, so
//! that tests beside it see nothing.
//!
//! This is unsafe code: SQLite offers no other way to have a certain
//! write or sync of a certain file fail, and a full or a read-only file system fails others.

#![expect(unsafe_code, reason = "a table of C functions is what SQLite takes")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::size_of;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::bail;
use rusqlite::ffi;

/// How long a disk fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// One write or sync.
    Once,
    /// That one and all that follow.
    FromThenOn,
}

/// The disk of some folders, as long as this value exists.
#[derive(Debug)]
pub struct Disk {
    watch: Arc<Watch>,
}

#[derive(Debug)]
struct Watch {
    folders: Vec<PathBuf>,
    plan: Mutex<Plan>,
}

#[derive(Debug, Default)]
struct Plan {
    fails: Option<(Lasting, u64)>,
    met: u64,
    has_failed: bool,
}

impl Disk {
    /// The disk under these folders. Files that were opened before are not watched.
    ///
    /// # Errors
    /// Where SQLite does not take another way to files.
    pub fn of(folders: &[&Path]) -> anyhow::Result<Disk> {
        install()?;
        let folders = folders.iter().map(|folder| (*folder).to_owned()).collect();
        let watch = Arc::new(Watch { folders, plan: Mutex::default() });
        watches().push(Arc::clone(&watch));
        Ok(Disk { watch })
    }

    /// Has the write or sync with this number fail, from 0, among those that come from now on.
    pub fn fail(&self, lasting: Lasting, number: u64) {
        *self.watch.lock() = Plan { fails: Some((lasting, number)), ..Plan::default() };
    }

    /// Nothing fails any more; says how many writes and syncs came, and whether one failed.
    pub fn stop_failing(&self) -> (u64, bool) {
        let mut plan = self.watch.lock();
        plan.fails = None;
        (plan.met, plan.has_failed)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        watches().retain(|watch| !Arc::ptr_eq(watch, &self.watch));
    }
}

impl Watch {
    fn lock(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a write or a sync, and says whether it fails.
    fn fails(&self) -> bool {
        let mut plan = self.lock();
        let Some((lasting, wanted)) = plan.fails else { return false };
        let number = plan.met;
        plan.met += 1;
        let fails = match lasting {
            Lasting::Once => number == wanted,
            Lasting::FromThenOn => number >= wanted,
        };
        plan.has_failed |= fails;
        fails
    }
}

fn watches() -> std::sync::MutexGuard<'static, Vec<Arc<Watch>>> {
    static WATCHES: Mutex<Vec<Arc<Watch>>> = Mutex::new(Vec::new());
    WATCHES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// SQLite's default way to files, which everything is passed on to.
#[derive(Clone, Copy)]
struct Default(*mut ffi::sqlite3_vfs);

// SAFETY: SQLite's own table is never changed after it was registered, and any thread may use it.
unsafe impl Send for Default {}
// SAFETY: as above.
unsafe impl Sync for Default {}

static DEFAULT: OnceLock<Option<Default>> = OnceLock::new();

/// Puts this way to files before SQLite's own, once in a process.
fn install() -> anyhow::Result<()> {
    let installed = DEFAULT.get_or_init(|| {
        // SAFETY: SQLite initialises itself, and gives its default table, or none.
        let default = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
        if default.is_null() {
            return None;
        }
        // SAFETY: it is not null, and a table of SQLite's lives as long as the process. Its functions
        // work for a copy too: those of the default use nothing of the table but `pAppData`, which
        // the copy has.
        let mut ours = unsafe { *default };
        let own = c_int::try_from(size_of::<File>()).ok()?;
        ours.szOsFile += own;
        ours.zName = c"cellzero-test".as_ptr();
        ours.pNext = std::ptr::null_mut();
        ours.xOpen = Some(open);
        // SAFETY: the copy is leaked, so it lives as long as SQLite may use it.
        let registered = unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 1) };
        (registered == ffi::SQLITE_OK).then_some(Default(default))
    });
    if installed.is_none() {
        bail!("SQLite takes no other way to files");
    }
    Ok(())
}

/// An open file. SQLite reserves room for it and, right behind it, for the default's own.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    /// From [`Arc::into_raw`]; null where nobody watches.
    watch: *const Watch,
}

/// The default's file behind ours.
///
/// # Safety
/// `file` came from SQLite, in room of our `szOsFile`.
unsafe fn inner(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: the room is `size_of::<File>()` longer than the default asks for, and the size of a
    // `repr(C)` struct of pointers keeps what follows it aligned for pointers.
    unsafe { file.cast::<u8>().add(size_of::<File>()).cast() }
}

/// Calls the default's function of the same name.
macro_rules! pass_on {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        // SAFETY: SQLite calls a method only of a file that was opened, whose default part has a
        // table then, and with the arguments that the same method of the default takes.
        unsafe {
            let inner = inner($file);
            match (*(*inner).pMethods).$method {
                Some(method) => method(inner $(, $argument)*),
                None => ffi::SQLITE_IOERR,
            }
        }
    }};
}

/// Whether a write or a sync of this file fails now.
fn fails(file: *mut ffi::sqlite3_file) -> bool {
    // SAFETY: SQLite calls a method only of a file that `open` has filled; the watch lives until
    // `close`, which holds a count of it.
    unsafe { (*file.cast::<File>()).watch.as_ref() }.is_some_and(Watch::fails)
}

unsafe extern "C" fn open(
    _vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    let Some(Some(Default(default))) = DEFAULT.get() else { return ffi::SQLITE_CANTOPEN };
    // SAFETY: the arguments are SQLite's for the default, whose own room is behind ours.
    let (opened, is_open) = unsafe {
        let inner = inner(file);
        let Some(open) = (**default).xOpen else { return ffi::SQLITE_CANTOPEN };
        let opened = open(*default, name, inner, flags, flags_out);
        (opened, !(*inner).pMethods.is_null())
    };
    let watch = if is_open { watch_of(name) } else { None };
    let methods: *const ffi::sqlite3_io_methods =
        if is_open { &raw const METHODS } else { std::ptr::null() };
    let ours = File {
        base: ffi::sqlite3_file { pMethods: methods },
        watch: watch.map_or(std::ptr::null(), Arc::into_raw),
    };
    // SAFETY: the room is ours to fill, and nothing in it needs to be dropped.
    unsafe { file.cast::<File>().write(ours) };
    opened
}

/// Who watches the file with this name; a temporary one has none.
fn watch_of(name: *const c_char) -> Option<Arc<Watch>> {
    if name.is_null() {
        return None;
    }
    // SAFETY: SQLite's names end with a zero, and it keeps them while the file is opened.
    let name = unsafe { CStr::from_ptr(name) }.to_str().ok()?;
    let is_under =
        |watch: &Watch| watch.folders.iter().any(|folder| Path::new(name).starts_with(folder));
    watches().iter().find(|watch| is_under(watch)).cloned()
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: `open` has filled it, and SQLite closes a file once.
    let watch = unsafe { (*file.cast::<File>()).watch };
    if !watch.is_null() {
        // SAFETY: it came from `Arc::into_raw` in `open`, and is given back once.
        drop(unsafe { Arc::from_raw(watch) });
    }
    pass_on!(file, xClose)
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    data: *const c_void,
    length: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    if fails(file) {
        return ffi::SQLITE_IOERR_WRITE;
    }
    pass_on!(file, xWrite, data, length, offset)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    if fails(file) {
        return ffi::SQLITE_IOERR_FSYNC;
    }
    pass_on!(file, xSync, flags)
}

/// Writes functions that pass everything on.
macro_rules! pass_all_on {
    ($($name:ident = $method:ident($($argument:ident: $kind:ty),*);)*) => {
        $(unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $argument: $kind)*) -> c_int {
            pass_on!(file, $method $(, $argument)*)
        })*
    };
}

pass_all_on! {
    read = xRead(data: *mut c_void, length: c_int, offset: ffi::sqlite3_int64);
    truncate = xTruncate(size: ffi::sqlite3_int64);
    file_size = xFileSize(size: *mut ffi::sqlite3_int64);
    lock = xLock(level: c_int);
    unlock = xUnlock(level: c_int);
    check_reserved_lock = xCheckReservedLock(result: *mut c_int);
    file_control = xFileControl(operation: c_int, argument: *mut c_void);
    sector_size = xSectorSize();
    device_characteristics = xDeviceCharacteristics();
    shm_map = xShmMap(page: c_int, size: c_int, extend: c_int, region: *mut *mut c_void);
    shm_lock = xShmLock(offset: c_int, count: c_int, flags: c_int);
    shm_unmap = xShmUnmap(delete: c_int);
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: as in `pass_on!`.
    unsafe {
        let inner = inner(file);
        if let Some(method) = (*(*inner).pMethods).xShmBarrier {
            method(inner);
        }
    }
}

/// Version 2: with shared memory, which write-ahead logging needs, and without mapped reads.
static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
