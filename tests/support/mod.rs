//! What the tests of the engines share. Each test takes what it needs of it.
#![allow(dead_code, reason = "every test is a crate of its own and uses a part of this")]

pub mod clock;
pub mod cluster;
pub mod commits;
pub mod disks;
pub mod kept;
pub mod ledger;
pub mod lossy_disk;
pub mod memory_view;
pub mod moody_view;
pub mod running;
pub mod says;
pub mod served;
pub mod services;
pub mod world;

/// A small generator with a seed, so that what failed can be run again.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at as u64 + 1) as usize);
        }
    }
}
