//! The processes of the cluster, and what is done to them.

use super::payers::Doors;
use crate::support::Dice;
use crate::support::running::send_signal;
use crate::support::served::{Configured, Served};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Who joins and leaves in a storm.
const GUEST: &str = "guest";
const VISITS: usize = 3;

/// Longer than a member may be silent: what is frozen for this long comes back to partitions that
/// are somebody else's.
const FREEZE_LEAST: Duration = Duration::from_secs(8);

pub struct Troupe<'a> {
    configured: &'a Configured,
    doors: Doors,
    running: BTreeMap<&'static str, Served>,
    /// At most one at a time, and when it comes back.
    frozen: Option<(&'static str, Instant)>,
    /// Why processes ended that nobody had asked to.
    pub ended: BTreeMap<String, u32>,
}

impl<'a> Troupe<'a> {
    pub fn start(configured: &'a Configured, doors: &Doors) -> Self {
        let mut troupe = Self {
            configured,
            doors: Doors::clone(doors),
            running: BTreeMap::new(),
            frozen: None,
            ended: BTreeMap::new(),
        };
        NAMES.into_iter().for_each(|name| troupe.open(name));
        troupe
    }

    fn open(&mut self, name: &'static str) {
        let served = self.configured.serve(name);
        self.doors.lock().unwrap().insert(name, served.public.clone());
        self.running.insert(name, served);
    }

    fn take(&mut self, name: &'static str) -> Served {
        self.doors.lock().unwrap().remove(name);
        self.running.remove(name).unwrap()
    }

    /// One that is not frozen.
    fn any(&self, dice: &mut Dice) -> &'static str {
        let frozen = self.frozen.map(|(name, _)| name);
        let awake: Vec<&str> = NAMES.into_iter().filter(|name| Some(*name) != frozen).collect();
        awake[dice.below(awake.len() as u64) as usize]
    }

    pub fn kill(&mut self, dice: &mut Dice) {
        let name = self.any(dice);
        self.take(name).kill();
        self.open(name);
    }

    /// Freezes one; the other faults go on meanwhile.
    pub fn freeze(&mut self, dice: &mut Dice, most: Duration) {
        self.thaw_all();
        let name = self.any(dice);
        self.doors.lock().unwrap().remove(name);
        send_signal(&self.running[name].child, Signal::STOP);
        let more = most.saturating_sub(FREEZE_LEAST).as_millis() as u64;
        let long = FREEZE_LEAST + Duration::from_millis(dice.below(more.max(1)));
        self.frozen = Some((name, Instant::now() + long));
    }

    pub fn thaw_who_is_due(&mut self) {
        if self.frozen.is_some_and(|(_, due)| due <= Instant::now()) {
            self.thaw();
        }
    }

    /// Waits until whoever is frozen is due, and thaws it.
    pub fn thaw_all(&mut self) {
        if let Some((_, due)) = self.frozen {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            self.thaw();
        }
    }

    fn thaw(&mut self) {
        if let Some((name, _)) = self.frozen.take() {
            let served = &self.running[name];
            send_signal(&served.child, Signal::CONT);
            self.doors.lock().unwrap().insert(name, served.public.clone());
        }
    }

    pub fn restart_all(&mut self) {
        self.thaw_all();
        for name in NAMES {
            self.replace(name);
            let served = self.take(name);
            let code = served.end();
            if code != Some(0) {
                let why = self.configured.complaint(name);
                *self.ended.entry(format!("asked to end: {code:?} {why}")).or_default() += 1;
            }
            self.open(name);
        }
    }

    pub fn storm(&mut self) {
        for visit in 0..VISITS {
            self.open(GUEST);
            let guest = self.take(GUEST);
            if visit % 2 == 0 {
                assert_eq!(guest.end(), Some(0), "a guest ends in good order");
            } else {
                guest.kill();
            }
        }
    }

    /// One that ended by itself, fenced for good, is started again, as a supervisor would.
    pub fn replace_who_ended(&mut self) {
        NAMES.into_iter().for_each(|name| self.replace(name));
    }

    fn replace(&mut self, name: &'static str) {
        let ended = self.running.get_mut(name).unwrap().child.try_wait().unwrap();
        if let Some(status) = ended {
            let why = self.configured.complaint(name);
            *self.ended.entry(format!("{status}: {why}")).or_default() += 1;
            drop(self.take(name));
            self.open(name);
        }
    }

    pub fn end(mut self) {
        for name in NAMES {
            let served = self.take(name);
            assert_eq!(served.end(), Some(0), "{name} ends in good order");
        }
    }
}
