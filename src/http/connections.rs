//! How many connections the listeners may hold, so that a flood of them leaves files to the engine.

/// Connections that a process holds at a time. Each is one file of the operating system's count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// Of one worker of the public listener.
    pub public: usize,
    /// Of each of the two others.
    pub private: usize,
}

/// Files kept free for everything else: 900 tables that the view keeps open, a segment for each of
/// 128 readers of feeds, the journal's own, and what the runtime and the standard streams take.
const FILES_KEPT: usize = 1200;

impl Connections {
    /// As many as are of use. On the public listener each is a socket and a few kilobytes; past
    /// this new ones wait in the backlog, which is what a sender with retries should meet. On the
    /// others: a backend's pool, a scraper, a few consoles.
    pub const MOST: Self = Self { public: 4096, private: 1024 };

    /// As many as fit beside everything else where a process may have `files` open and the public
    /// listener has `workers`. Under a small limit, half of it.
    pub fn within(files: u64, workers: usize) -> Self {
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        let room = files - FILES_KEPT.min(files / 2);
        let wanted = Self::MOST.sum(workers);
        if wanted <= room {
            return Self::MOST;
        }
        let share = |of: usize| ((of as u128 * room as u128 / wanted as u128) as usize).max(1);
        Self { public: share(Self::MOST.public), private: share(Self::MOST.private) }
    }

    fn sum(self, workers: usize) -> usize {
        self.public * workers + 2 * self.private
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_files_enough_nothing_is_lowered() {
        assert_eq!(Connections::within(u64::MAX, 64), Connections::MOST);
        assert_eq!(Connections::within(524_288, 2), Connections::MOST);
        let exactly = (2 * 4096 + 2 * 1024 + FILES_KEPT) as u64;
        assert_eq!(Connections::within(exactly, 2), Connections::MOST);
        assert!(Connections::within(exactly - 1, 2).public < 4096);
    }

    #[test]
    fn connections_leave_files_to_the_engine() {
        for files in [64, 256, 1024, 4096, 20_000, 65_536] {
            for workers in [1, 2, 8, 16] {
                let cap = Connections::within(files, workers);
                let left = files as usize - cap.sum(workers);
                assert!(left >= FILES_KEPT.min(files as usize / 2), "{files}, {workers}: {cap:?}");
                assert!(cap.public >= 1 && cap.private >= 1);
            }
        }
        assert_eq!(Connections::within(1024, 2), Connections { public: 204, private: 51 });
        // However few there are, somebody is answered.
        assert_eq!(Connections::within(0, 4), Connections { public: 1, private: 1 });
    }
}
