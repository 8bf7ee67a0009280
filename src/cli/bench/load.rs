//! The load: every attempt's story in four signed events, interleaved over a window of attempts,
//! with duplicates and reordering. A function of its seed.

use crate::webhook::WebhookSecret;
use bytes::Bytes;
use std::collections::VecDeque;

/// Events of one story.
pub const STEPS: u64 = 4;

/// Attempts that are under way at a time, as on a busy day.
const WINDOW: usize = 4096;

/// Deliveries within which a copy follows its original.
const COPY_LAG: usize = 2000;

/// Percent of the copies that come late: of any story that was ever told to its end.
const LATE_PERCENT: u64 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shot {
    pub attempt: u64,
    pub step: u64,
    pub copy: bool,
}

impl Shot {
    pub fn completes(self) -> bool {
        self.step == STEPS - 1
    }
}

pub struct Load {
    random: SplitMix,
    attempts: u64,
    next_new: u64,
    under_way: Vec<(u64, Vec<u64>)>,
    /// A bit for each attempt whose story has been told.
    told: Vec<u64>,
    copies: VecDeque<(u64, Shot)>,
    sent: u64,
    duplicates: u64,
    reordered: u64,
}

impl Load {
    /// Where `events` are more than `attempts` have to tell, the rest are copies too, spread over
    /// the whole load: its end is like its beginning.
    pub fn new(seed: u64, events: u64, attempts: u64, duplicates: u32, reordered: u32) -> Self {
        let stories = attempts * STEPS;
        let needed = 100 * events.saturating_sub(stories) / stories.max(1);
        Self {
            random: SplitMix(seed),
            attempts,
            next_new: 0,
            under_way: vec![],
            told: vec![0; attempts.div_ceil(64) as usize],
            copies: VecDeque::new(),
            sent: 0,
            duplicates: u64::from(duplicates).max(needed),
            reordered: u64::from(reordered),
        }
    }

    /// Percent of events that come a second time.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// The next delivery. When every story is told, copies of old events follow.
    pub fn next(&mut self) -> Shot {
        self.sent += 1;
        if let Some((due, shot)) = self.copies.front()
            && *due <= self.sent
        {
            let shot = *shot;
            self.copies.pop_front();
            return shot;
        }
        while self.under_way.len() < WINDOW && self.next_new < self.attempts {
            let mut steps: Vec<u64> = (0..STEPS).rev().collect();
            for at in 1..steps.len() {
                if self.random.percent(self.reordered) {
                    steps.swap(at - 1, at);
                }
            }
            self.under_way.push((self.next_new, steps));
            self.next_new += 1;
        }
        if self.under_way.is_empty() {
            let attempt = self.random.below(self.attempts);
            return Shot { attempt, step: self.random.below(STEPS), copy: true };
        }
        let at = self.random.below(self.under_way.len() as u64) as usize;
        let (attempt, steps) = &mut self.under_way[at];
        let (attempt, step) = (*attempt, steps.pop().unwrap_or(0));
        if steps.is_empty() {
            self.under_way.swap_remove(at);
            self.told[(attempt / 64) as usize] |= 1 << (attempt % 64);
        }
        let shot = Shot { attempt, step, copy: false };
        if self.random.percent(self.duplicates) {
            let lag = 1 + self.random.below(COPY_LAG as u64);
            let due = self.sent + lag;
            let late = self.random.percent(LATE_PERCENT).then(|| self.any_told()).flatten();
            let (attempt, step) = late.unwrap_or((shot.attempt, shot.step));
            let copy = (due, Shot { attempt, step, copy: true });
            let at = self.copies.partition_point(|(other, _)| *other <= due);
            self.copies.insert(at, copy);
        }
        shot
    }

    /// Some event of a story that was told to its end.
    fn any_told(&mut self) -> Option<(u64, u64)> {
        let attempt = self.random.below(self.next_new);
        let is_told = self.told[(attempt / 64) as usize] >> (attempt % 64) & 1 == 1;
        is_told.then(|| (attempt, self.random.below(STEPS)))
    }
}

/// Bodies and signatures of shots. The same shot always has the same body.
pub struct Gun {
    secret: WebhookSecret,
    created_at: i64,
}

const TYPES: [(&str, &str); STEPS as usize] = [
    ("gate_session.created", "open"),
    ("kyc.required", "open"),
    ("gate_session.processing", "open"),
    ("gate_session.completed", "completed"),
];

impl Gun {
    pub fn new(secret: WebhookSecret, created_at: i64) -> Self {
        Self { secret, created_at }
    }

    pub fn body(&self, shot: Shot) -> Bytes {
        use std::io::Write;
        let (kind, status) = TYPES[shot.step as usize];
        let (attempt, step, at) = (shot.attempt, shot.step, self.created_at);
        let mut body = Vec::with_capacity(1280);
        let written = write!(
            body,
            r#"{{"id":"evt_{attempt:010}_{step}_6f1c1d6e0c3b4a51","type":"{kind}","created_at":{at},"data":{{"id":"{}","object":"gate_session","partner_id":"prt_3f6d0b8f2a10","mode":"test","status":"{status}","flow":"on_ramp","amount":"{}.{:02}","currency":"EUR","target_token":"USDC","target_network":"BASE","wallet_address":"0x52908400098527886E0F7030069857D2E4169EE7","return_url":"https://shop.example/checkout/return","cancel_url":"https://shop.example/checkout/cancel","user_reference":"order_{attempt:010}","expires_at":"2026-12-31T23:59:59Z","created_at":"2026-06-26T12:00:00Z""#,
            session(attempt),
            10 + attempt % 990,
            attempt % 100,
        );
        if shot.completes() {
            let _grown = write!(body, r#","tx_refid":"tx_{attempt:010}_8f2a10""#);
        }
        let _grown = write!(body, r#","metadata":{{{FILLER}}}}}}}"#);
        debug_assert!(written.is_ok(), "a Vec takes every byte");
        Bytes::from(body)
    }

    pub fn sign(&self, seconds: i64, body: &[u8]) -> String {
        self.secret.sign(seconds, body)
    }
}

/// What a partner notes on a session; brings a body to about 1.2 KB.
const FILLER: &str = r#""order_id":"order-2026-06-26-000000000000","cart":"c0ffee00-0000-4000-8000-000000000001","channel":"web-checkout","campaign":"summer-launch-2026","store":"berlin-alexanderplatz-03","locale":"de-DE","experiment":"checkout-redesign-b","terms_version":"2026-05-25","note":"bound on the server, never in the browser; see the runbook for what each of these means","device":"phone-web-de-firefox-141","shelf":"0003-0007-0021","split":"a:0.40,b:0.35,c:0.25","promo":"none","correlation":"01hzx0d6p6q8t3v5w7y9z1b3d5f7h9k1m3p5r7t9""#;

pub fn session(attempt: u64) -> String {
    format!("gs_bench_{attempt:010}")
}

/// The attempt of a session that [`session`] named.
pub fn attempt_of(session: &[u8]) -> Option<u64> {
    std::str::from_utf8(session.strip_prefix(b"gs_bench_")?).ok()?.parse().ok()
}

/// A small generator of even random numbers; the load must be the same on every machine.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_load_tells_every_story_and_is_a_function_of_its_seed() {
        let shots = |seed| {
            let mut load = Load::new(seed, 4400, 1000, 10, 5);
            (0..4400).map(|_| load.next()).collect::<Vec<_>>()
        };
        assert_eq!(shots(7), shots(7));
        assert_ne!(shots(7), shots(8));
        let mut told: HashMap<(u64, u64), u32> = HashMap::new();
        for shot in shots(7) {
            *told.entry((shot.attempt, shot.step)).or_default() += 1;
        }
        assert!(told.len() > 3900, "nearly every event of every story: {}", told.len());
        assert!(told.values().filter(|times| **times > 1).count() > 300, "some of them twice");
    }

    #[test]
    fn more_events_than_the_stories_have_are_copies_over_the_whole_load() {
        let mut load = Load::new(7, 100_000, 20_000, 10, 5);
        let shots: Vec<Shot> = (0..100_000).map(|_| load.next()).collect();
        let copies = |part: &[Shot]| part.iter().filter(|shot| shot.copy).count();
        for part in shots.chunks(20_000) {
            assert!((3_200..4_800).contains(&copies(part)), "{}", copies(part));
        }
        let mut seen = std::collections::HashSet::new();
        for shot in shots {
            let known = !seen.insert((shot.attempt, shot.step));
            assert!(known || !shot.copy, "a copy of what was never sent: {shot:?}");
        }
    }

    #[test]
    fn a_body_is_json_of_about_the_size_of_a_real_one() {
        let gun = Gun::new(WebhookSecret::new("whsec_test".to_owned().into()), 1_782_475_200);
        for step in 0..STEPS {
            let body = gun.body(Shot { attempt: 12, step, copy: false });
            let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(read["data"]["id"], "gs_bench_0000000012");
            assert!((1100..1300).contains(&body.len()), "{}", body.len());
        }
        assert_eq!(attempt_of(session(12).as_bytes()), Some(12));
    }
}
