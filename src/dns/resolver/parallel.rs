//! Many pieces of work side by side.
//!
//! Owns the threads, whose work is mostly waiting for answers. Must not know
//! what the work is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Does a piece of work for each item, up to so many side by side, and gives the results in
/// the order of the items.
///
/// Where the system gives fewer threads, fewer have to do.
pub fn side_by_side<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let labour = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else {
                return done;
            };
            done.push((at, work(item)));
        }
    };
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(items.len()))
            .map_while(|_| thread::Builder::new().spawn_scoped(scope, labour).ok())
            .collect();
        let mut done = labour();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn results_keep_their_order() {
        let items: Vec<usize> = (0..100).collect();
        for threads in [0, 1, 7, 500] {
            let doubled = side_by_side(&items, threads, |item| item * 2);
            let expected: Vec<usize> = items.iter().map(|item| item * 2).collect();
            assert_eq!(doubled, expected);
        }
        assert!(side_by_side(&[(); 0], 4, |()| ()).is_empty());
    }

    #[test]
    fn work_is_done_at_the_same_time() {
        // Each waits for all the others: one after the other would never end.
        let all = Barrier::new(4);
        side_by_side(&[(); 4], 4, |()| {
            all.wait();
        });
    }
}
