//! Signals that end a process, held off while it must not end.
//!
//! Owns [`Hold`] and [`Attention`]. Signals are caught, not blocked: a blocked signal would be
//! inherited by every program started meanwhile, and a `master` that was born
//! deaf to SIGHUP and SIGTERM can be neither reloaded nor stopped.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::{flag, low_level};

/// While one of these lives, SIGINT, SIGTERM, SIGHUP and SIGQUIT are only noted; when the last
/// goes, a noted one takes effect.
#[derive(Debug)]
pub(super) struct Hold(&'static Watch);

#[derive(Debug)]
struct Watch {
    holds: Mutex<usize>,
    may_end: Arc<AtomicBool>,
    noted: Arc<AtomicUsize>,
}

static WATCH: OnceLock<Watch> = OnceLock::new();

impl Hold {
    /// Holds the signals off from now on.
    ///
    /// # Errors
    /// When the signals cannot be caught.
    pub(super) fn new() -> io::Result<Self> {
        let watch = if let Some(watch) = WATCH.get() {
            watch
        } else {
            let new = Watch::new()?;
            WATCH.get_or_init(|| new)
        };
        let mut holds = watch.holds.lock().unwrap_or_else(PoisonError::into_inner);
        *holds += 1;
        watch.may_end.store(false, Ordering::SeqCst);
        drop(holds);
        Ok(Self(watch))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut holds = self.0.holds.lock().unwrap_or_else(PoisonError::into_inner);
        *holds -= 1;
        if *holds == 0 {
            self.0.may_end.store(true, Ordering::SeqCst);
            let noted = self.0.noted.swap(0, Ordering::SeqCst);
            if let Ok(signal @ 1..) = i32::try_from(noted) {
                // Its only failure is a signal it does not know; ours are all known.
                let _ = low_level::emulate_default_handler(signal);
            }
        }
    }
}

impl Watch {
    fn new() -> io::Result<Self> {
        let watch = Self {
            holds: Mutex::new(0),
            may_end: Arc::new(AtomicBool::new(true)),
            noted: Arc::new(AtomicUsize::new(0)),
        };
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
            let number = usize::try_from(signal).expect("signals are small and positive");
            flag::register_usize(signal, Arc::clone(&watch.noted), number)?;
            flag::register_conditional_default(signal, Arc::clone(&watch.may_end))?;
        }
        Ok(watch)
    }
}

/// While this lives, whoever works until told to stop is told, and ends by himself.
#[derive(Debug)]
pub struct Attention {
    hold: Hold,
}

impl Attention {
    /// Pays attention to SIGINT, SIGTERM, SIGHUP and SIGQUIT from now on.
    ///
    /// # Errors
    /// When the signals cannot be caught.
    pub fn new() -> io::Result<Self> {
        let hold = Hold::new()?;
        Ok(Self { hold })
    }

    /// Tells whether one of them came.
    #[must_use]
    pub fn is_called(&self) -> bool {
        self.hold.0.noted.load(Ordering::SeqCst) != 0
    }
}

impl Drop for Attention {
    fn drop(&mut self) {
        // It has had its effect.
        self.hold.0.noted.store(0, Ordering::SeqCst);
    }
}

/// Tells whether a signal waits for the last hold to go.
pub(super) fn is_noted() -> bool {
    WATCH
        .get()
        .is_some_and(|watch| watch.noted.load(Ordering::SeqCst) != 0)
}
