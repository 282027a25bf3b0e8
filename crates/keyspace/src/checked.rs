//! The sleeping lock of what is model-checked, here and in `engine`: parking_lot's, or shuttle's in the same shape, so that
//! what is checked under `--cfg shuttle` is the code that runs.
//!
//! Thread safety: that of the lock.

#[cfg(not(shuttle))]
pub use parking_lot::{Mutex, MutexGuard};
#[cfg(shuttle)]
pub use replaced::{Mutex, MutexGuard};

#[cfg(shuttle)]
mod replaced {
    use std::ops::{Deref, DerefMut};

    pub struct Mutex<T>(shuttle::sync::Mutex<T>);
    pub struct MutexGuard<'a, T>(shuttle::sync::MutexGuard<'a, T>);

    impl<T> Mutex<T> {
        pub fn new(value: T) -> Mutex<T> {
            Mutex(shuttle::sync::Mutex::new(value))
        }

        pub fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(self.0.lock().expect("no test panics while holding it"))
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.0
        }
    }
}
