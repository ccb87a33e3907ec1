//! A resolver that asks each question once.
//!
//! Owns what was heard in one run, and how many questions are open at a time.
//! Who asks what is being asked already waits for that answer. A failure is
//! remembered for a moment only; nothing outlives the run.
//! Must not know who answers.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::{Answer, DnsError, Resolver};
use crate::dns::{Name, RecordType};

/// Most questions open at a time: what a home router's resolver still bears.
const MAX_OPEN: usize = 128;

/// How long a failure is remembered (RFC 2308, 7, allows five minutes).
const FAILURE_LASTS: Duration = Duration::from_secs(30);

/// Remembers what another resolver answers.
#[derive(Debug)]
pub struct CachedResolver<R> {
    inner: R,
    heard: Mutex<HashMap<(Name, RecordType), Arc<Heard>>>,
    open: Gate,
}

/// An answer, or the place where it will stand.
#[derive(Debug, Default)]
struct Heard(OnceLock<(Result<Answer, DnsError>, Instant)>);

impl<R: Resolver> CachedResolver<R> {
    /// Makes a resolver that has heard nothing yet.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            heard: Mutex::default(),
            open: Gate::new(MAX_OPEN),
        }
    }

    /// Who answers what was not heard yet.
    pub fn inner(&self) -> &R {
        &self.inner
    }

    /// How many different questions were asked.
    pub fn questions(&self) -> usize {
        self.heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    fn remembered(
        &self,
        name: &Name,
        kind: RecordType,
        ask: impl FnOnce() -> Result<Answer, DnsError>,
    ) -> Result<Answer, DnsError> {
        let place = {
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            let place = heard.entry((name.clone(), kind)).or_default();
            if place.is_spent() {
                *place = Arc::default();
            }
            Arc::clone(place)
        };
        let (answer, _) = place.0.get_or_init(|| {
            let _pass = self.open.enter();
            (ask(), Instant::now())
        });
        answer.clone()
    }
}

impl<R: Resolver> Resolver for CachedResolver<R> {
    fn lookup(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError> {
        self.remembered(name, kind, || self.inner.lookup(name, kind))
    }

    fn lookup_among_many(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError> {
        self.remembered(name, kind, || self.inner.lookup_among_many(name, kind))
    }
}

impl Heard {
    /// Tells whether this is a failure of so long ago that it may have gone by.
    fn is_spent(&self) -> bool {
        let heard = self.0.get();
        heard.is_some_and(|(answer, when)| answer.is_err() && when.elapsed() > FAILURE_LASTS)
    }
}

/// Lets so many through at a time.
#[derive(Debug)]
struct Gate {
    free: Mutex<usize>,
    freed: Condvar,
}

/// The right to be inside; given back when dropped.
struct Pass<'a>(&'a Gate);

impl Gate {
    fn new(places: usize) -> Self {
        Self {
            free: Mutex::new(places),
            freed: Condvar::new(),
        }
    }

    fn enter(&self) -> Pass<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self
            .freed
            .wait_while(free, |free| *free == 0)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Pass(self)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut free = self.0.free.lock().unwrap_or_else(PoisonError::into_inner);
        *free += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Barrier, mpsc};

    use super::*;
    use crate::dns::side_by_side;

    /// Answers after a while, and counts: questions in all, and open at a time.
    #[derive(Default)]
    struct Counting {
        asked: AtomicUsize,
        open: AtomicUsize,
        most: AtomicUsize,
    }

    impl Resolver for Counting {
        fn lookup(&self, name: &Name, kind: RecordType) -> Result<Answer, DnsError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(open, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(2));
            self.open.fetch_sub(1, Ordering::SeqCst);
            match kind {
                RecordType::A => Ok(Answer::NoData),
                _ => Err(DnsError::NoServer {
                    name: name.clone(),
                    kind,
                }),
            }
        }
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn one_question_is_asked_once() {
        let resolver = CachedResolver::new(Counting::default());
        let names: Vec<Name> = ["a.example", "A.Example", "b.example"].map(name).into();
        let all: Vec<&Name> = names.iter().cycle().take(60).collect();
        let answers = side_by_side(&all, 16, |name| resolver.lookup(name, RecordType::A));
        assert!(answers.iter().all(|answer| *answer == Ok(Answer::NoData)));
        assert_eq!(resolver.inner().asked.load(Ordering::SeqCst), 2);
        assert!(resolver.lookup(&names[0], RecordType::Mx).is_err());
        assert!(resolver.lookup(&names[0], RecordType::Mx).is_err());
        assert_eq!(resolver.inner().asked.load(Ordering::SeqCst), 3);
        assert_eq!(resolver.questions(), 3);
    }

    #[test]
    fn no_more_than_so_many_are_open() {
        let resolver = CachedResolver {
            open: Gate::new(3),
            ..CachedResolver::new(Counting::default())
        };
        let names: Vec<Name> = (0..40)
            .map(|number| name(&format!("d{number}.example")))
            .collect();
        side_by_side(&names, 12, |name| resolver.lookup(name, RecordType::A));
        assert_eq!(resolver.inner().asked.load(Ordering::SeqCst), 40);
        assert!(resolver.inner().most.load(Ordering::SeqCst) <= 3);
    }

    #[test]
    fn a_slow_answer_holds_up_nobody_else() {
        struct Held(Barrier);
        impl Resolver for Held {
            fn lookup(&self, name: &Name, _: RecordType) -> Result<Answer, DnsError> {
                if name.host() == "slow.example" {
                    self.0.wait();
                }
                Ok(Answer::NoData)
            }
        }
        let resolver = CachedResolver::new(Held(Barrier::new(2)));
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            scope.spawn(|| resolver.lookup(&name("slow.example"), RecordType::A));
            scope.spawn(|| {
                let sender = sender;
                let _ = sender.send(resolver.lookup(&name("fast.example"), RecordType::A));
            });
            let fast = receiver.recv();
            resolver.inner().0.wait();
            assert_eq!(fast, Ok(Ok(Answer::NoData)));
        });
    }
}
