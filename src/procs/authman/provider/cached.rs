//! What a provider publishes, kept for a while: asked for once, however many wait for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::ProviderError;

/// Age at which a value is asked for again.
const FRESH: Duration = Duration::from_secs(3600);
/// Age up to which a value stands in if asking again fails.
const USABLE: Duration = Duration::from_secs(24 * 3600);
/// Time for which a failure is remembered, so that those who wait fail with the first of them.
const FAILED: Duration = Duration::from_secs(1);

/// A published value.
#[derive(Debug)]
pub(super) struct Cached<T>(Mutex<Slot<T>>);

#[derive(Debug)]
struct Slot<T> {
    /// The value, and when it came.
    value: Option<(Arc<T>, Instant)>,
    /// The last failure, and when it came.
    failed: Option<(ProviderError, Instant)>,
    /// When the value was last asked for before its time.
    hurried: Option<Instant>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(Mutex::new(Slot { value: None, failed: None, hurried: None }))
    }
}

impl<T> Cached<T> {
    /// The value; `fetch` is run if there is none that is fresh.
    pub(super) async fn get(
        &self,
        fetch: impl Future<Output = Result<T, ProviderError>> + Send,
    ) -> Result<Arc<T>, ProviderError> {
        let mut slot = self.0.lock().await;
        let kept = slot.value.clone();
        if let Some((value, came)) = &kept
            && came.elapsed() < FRESH
        {
            return Ok(value.clone());
        }
        let stale = kept.filter(|(_, came)| came.elapsed() < USABLE).map(|(value, _)| value);
        if let Some((error, at)) = &slot.failed
            && at.elapsed() < FAILED
        {
            return stale.ok_or_else(|| error.clone());
        }
        slot.ask(fetch).await.or_else(|error| stale.ok_or(error))
    }

    /// A value newer than `old`, for who has found it wanting; the same one if it was asked for before its time less than
    /// `pause` ago.
    pub(super) async fn newer(
        &self,
        old: &Arc<T>,
        pause: Duration,
        fetch: impl Future<Output = Result<T, ProviderError>> + Send,
    ) -> Result<Arc<T>, ProviderError> {
        let mut slot = self.0.lock().await;
        let is_newer = |(value, _): &&(Arc<T>, Instant)| !Arc::ptr_eq(value, old);
        if let Some((value, _)) = slot.value.as_ref().filter(is_newer) {
            return Ok(value.clone());
        }
        if slot.hurried.is_some_and(|at| at.elapsed() < pause) {
            return Ok(old.clone());
        }
        slot.hurried = Some(Instant::now());
        slot.ask(fetch).await
    }
}

impl<T> Slot<T> {
    async fn ask(
        &mut self,
        fetch: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<Arc<T>, ProviderError> {
        match fetch.await {
            Ok(value) => {
                let value = Arc::new(value);
                self.value = Some((value.clone(), Instant::now()));
                self.failed = None;
                Ok(value)
            }
            Err(error) => {
                self.failed = Some((error.clone(), Instant::now()));
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn many_ask_once() {
        let (cached, asked) = (Cached::default(), AtomicU32::new(0));
        let fetch = || async {
            tokio::task::yield_now().await;
            Ok(asked.fetch_add(1, Ordering::Relaxed))
        };
        let (a, b, c) =
            tokio::join!(cached.get(fetch()), cached.get(fetch()), cached.get(fetch()),);
        assert_eq!((*a.unwrap(), *b.unwrap(), *c.unwrap()), (0, 0, 0));
    }

    #[tokio::test]
    async fn failures_are_shared_for_a_moment() {
        let (cached, asked) = (Cached::<u32>::default(), AtomicU32::new(0));
        let fetch = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            Err(ProviderError::NotJson)
        };
        for _ in 0..3 {
            assert_eq!(cached.get(fetch()).await, Err(ProviderError::NotJson));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn newer_values_are_rare() {
        let (cached, asked) = (Cached::default(), AtomicU32::new(0));
        let fetch = || async { Ok(asked.fetch_add(1, Ordering::Relaxed)) };
        let first = cached.get(fetch()).await.unwrap();
        let hour = Duration::from_secs(3600);
        let second = cached.newer(&first, hour, fetch()).await.unwrap();
        assert_eq!(*second, 1);
        let third = cached.newer(&second, hour, fetch()).await.unwrap();
        assert_eq!(*third, 1, "it was asked for a moment ago");
        assert_eq!(*cached.newer(&first, hour, fetch()).await.unwrap(), 1, "there is a newer one");
        assert_eq!(*cached.newer(&third, Duration::ZERO, fetch()).await.unwrap(), 2);
    }
}
