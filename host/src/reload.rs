//! A request to read the configuration again, made by SIGHUP or by a caller.

use std::sync::Arc;

use tokio::sync::Notify;

/// A request to read the configuration again. Several at once are one.
#[derive(Clone, Debug, Default)]
pub struct Reload {
    requests: Arc<Notify>,
}

impl Reload {
    /// A request that nobody has made yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for it.
    pub fn request(&self) {
        self.requests.notify_one();
    }

    /// Waits until somebody asks, or has asked since the last time.
    pub async fn requested(&self) {
        self.requests.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_request_is_kept_until_it_is_heard_and_two_are_one() {
        let reload = Reload::new();
        reload.request();
        reload.request();
        reload.requested().await;
        tokio::select! {
            biased;
            () = reload.requested() => panic!("heard twice"),
            () = tokio::task::yield_now() => {}
        }
    }
}
