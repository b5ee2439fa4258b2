//! The bare robust mutex: an `i32` behind a `pthread_mutex_t`, both in a
//! mapping that processes share.

use std::fs::File;
use std::io::Error;
use std::mem::MaybeUninit;

use memmap2::MmapRaw;

use crate::common::Result;

pub struct Counter {
    map: MmapRaw,
}

#[repr(C)]
struct Layout {
    mutex: libc::pthread_mutex_t,
    value: i32,
}

impl Counter {
    pub const SIZE: u64 = size_of::<Layout>() as u64;

    /// Makes the mutex in a fresh file of [`Counter::SIZE`] bytes.
    pub fn create(file: &File) -> Result<Self> {
        let counter = Self::open(file)?;
        let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: The attributes are initialised before they are used, and the
        // mapping is as long as `Layout` and no other process has it yet.
        unsafe {
            check(libc::pthread_mutexattr_init(attributes))?;
            check(libc::pthread_mutexattr_setpshared(
                attributes,
                libc::PTHREAD_PROCESS_SHARED,
            ))?;
            check(libc::pthread_mutexattr_setrobust(
                attributes,
                libc::PTHREAD_MUTEX_ROBUST,
            ))?;
            let layout = counter.layout();
            check(libc::pthread_mutex_init(
                &raw mut (*layout).mutex,
                attributes,
            ))?;
            check(libc::pthread_mutexattr_destroy(attributes))?;
        }
        Ok(counter)
    }

    /// Maps the mutex that another process made in the file.
    pub fn open(file: &File) -> Result<Self> {
        let map = MmapRaw::map_raw(file)?;
        assert!(map.len() as u64 >= Self::SIZE);
        Ok(Self { map })
    }

    pub fn increment(&self) -> Result<i32> {
        let layout = self.layout();
        // SAFETY: The mutex was made by `create` and is never destroyed, and
        // the value is used only while it is locked.
        unsafe {
            check(libc::pthread_mutex_lock(&raw mut (*layout).mutex))?;
            (*layout).value += 1;
            let value = (*layout).value;
            check(libc::pthread_mutex_unlock(&raw mut (*layout).mutex))?;
            Ok(value)
        }
    }

    fn layout(&self) -> *mut Layout {
        self.map.as_mut_ptr().cast()
    }
}

fn check(errno: i32) -> Result<()> {
    match errno {
        0 => Ok(()),
        _ => Err(Error::from_raw_os_error(errno).into()),
    }
}
