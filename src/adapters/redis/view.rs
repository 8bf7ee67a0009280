//! The View port over Redis: three scripts, and a guard on everything that they do.

use super::health::{RedisHealth, health};
use super::link::Link;
use super::names::{Bucket, Names};
use super::options::{RedisError, RedisOptions};
use crate::ports::{Apply, Looked, View, ViewError, ViewPosition};
use crate::safeguard::Safeguard;
use bytes::Bytes;
use futures_util::future::try_join_all;
use redis::{Script, ScriptInvocation};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::{Builder, Runtime};

/// States written by one script. A script holds up everyone else on the server: this many take it
/// well under a millisecond, and more gain nothing.
const PIECE_STATES: usize = 128;

/// Bytes written by one script.
const PIECE_BYTES: usize = 256 << 10;

/// Scripts of one apply that are under way at a time.
const PIECES_IN_FLIGHT: usize = 8;

/// A connection of its own thread: whoever asks may be on any runtime, and none of them, busy or
/// gone, holds up the others.
#[derive(Clone)]
pub struct RedisView {
    server: Arc<Server>,
    thread: Arc<Thread>,
}

/// What a view says that it has of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    pub changelog: u64,
    pub states: u64,
}

struct Server {
    link: Arc<Link>,
    names: Names,
    scripts: Scripts,
    /// Tells our applies from those of other processes.
    us: String,
    applies: AtomicU64,
}

struct Scripts {
    position: Script,
    apply: Script,
    look_up: Script,
}

fn look_up_script() -> String {
    let script = include_str!("look_up.lua");
    if Safeguard::CountedView.is_on() {
        return script.to_owned();
    }
    script.replace("redis.call('HLEN', KEYS[at]) ~= must", "false")
}

/// The keys of one script: the partition's meta, then each bucket once.
struct Keys<'a> {
    names: &'a Names,
    partition: u32,
    indexes: HashMap<Bucket, usize>,
    names_in_order: Vec<String>,
}

impl<'a> Keys<'a> {
    fn new(names: &'a Names, partition: u32) -> Self {
        let names_in_order = vec![names.meta(partition)];
        Self { names, partition, indexes: HashMap::new(), names_in_order }
    }

    /// The place of a bucket, as Lua counts.
    fn place(&mut self, bucket: Bucket) -> usize {
        *self.indexes.entry(bucket).or_insert_with(|| {
            self.names_in_order.push(self.names.bucket(self.partition, bucket));
            self.names_in_order.len()
        })
    }
}

impl RedisView {
    pub async fn open(options: &RedisOptions) -> Result<Self, RedisError> {
        let thread = Thread::start().map_err(|error| options.unreachable(error))?;
        let gone = || options.unreachable("its thread has ended");
        let us = getrandom::u64().map_err(|error| options.unreachable(error))?;
        let us = format!("{us:016x}");
        let options = options.clone();
        let opening = async move {
            Ok(Arc::new(Server {
                names: Names::new(&options.prefix),
                link: Link::open(options).await?,
                scripts: Scripts {
                    position: Script::new(include_str!("position.lua")),
                    apply: Script::new(include_str!("apply.lua")),
                    look_up: Script::new(&look_up_script()),
                },
                us,
                applies: AtomicU64::new(0),
            }))
        };
        let server = thread.run(opening).await.ok_or_else(gone)??;
        Ok(Self { server, thread: Arc::new(thread) })
    }

    /// How much it has of a partition, by its own account. Changes nothing.
    pub async fn account(&self, partition: u32) -> Result<Account, ViewError> {
        let server = Arc::clone(&self.server);
        self.ask(async move { server.account(partition).await }).await
    }

    /// Throws away what it has of a partition. Whoever owns that finds it gone, and shows it again.
    pub async fn begin_anew(&self, partition: u32) -> Result<(), ViewError> {
        let server = Arc::clone(&self.server);
        self.ask(async move { server.begin_anew(partition).await }).await
    }

    /// How the server is, and which of its connections the view uses, where it may be asked. A
    /// cluster has many.
    pub(super) async fn health(&self) -> Result<(RedisHealth, Option<u64>), ViewError> {
        let server = Arc::clone(&self.server);
        self.ask(async move {
            let reached = server.link.reached().await.map_err(unavailable)?;
            let health = health(&reached).await.map_err(unavailable)?;
            if reached.connection.is_of_a_cluster() {
                return Ok((health, None));
            }
            let mut asked = redis::cmd("CLIENT");
            let asked = asked.arg("ID").query_async(&mut reached.connection.clone()).await;
            Ok((health, asked.ok()))
        })
        .await
    }

    async fn ask<T, F>(&self, asking: F) -> Result<T, ViewError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ViewError>> + Send + 'static,
    {
        let gone = || ViewError::Broken("its thread has ended".to_owned());
        self.thread.run(asking).await.ok_or_else(gone)?
    }
}

/// The thread that talks to the server.
struct Thread(Option<Runtime>);

impl Thread {
    fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("view")
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Runs it there. `None` where it panicked or the thread is gone.
    async fn run<T: Send + 'static>(
        &self,
        what: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        self.0.as_ref()?.spawn(what).await.ok()
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Server {
    async fn apply_piece(
        &self,
        apply: &Apply,
        states: &[InBucket<'_>],
        piece: Piece<'_>,
    ) -> Result<(), ViewError> {
        let Apply { partition, after, position, .. } = apply;
        let mut keys = Keys::new(&self.names, *partition);
        let mut script = self.scripts.apply.prepare_invoke();
        script.arg(after).arg(position.epoch).arg(position.changelog);
        script.arg(piece.of).arg(piece.number).arg(piece.count);
        for (bucket, (field, state)) in states {
            script.arg(keys.place(*bucket)).arg(field.as_ref()).arg(state.as_ref());
        }
        script.key(keys.names_in_order);
        let answer: Vec<String> = self.run(&script).await?;
        let number = || answer.get(1).and_then(|text| text.parse().ok()).unwrap_or(0);
        match answer.first().map(String::as_str) {
            Some("ok" | "old") => Ok(()),
            Some("fenced") => Err(ViewError::Fenced {
                partition: *partition,
                has: number(),
                ours: position.epoch,
            }),
            Some("lost") => {
                Err(ViewError::Regressed { partition: *partition, has: number(), had: *after })
            }
            Some(_) | None => Err(ViewError::Unavailable("it gave no answer".to_owned())),
        }
    }

    async fn position(&self, partition: u32) -> Result<ViewPosition, ViewError> {
        let mut script = self.scripts.position.prepare_invoke();
        script.key(self.names.meta(partition));
        for bucket in Bucket::all() {
            script.key(self.names.bucket(partition, bucket));
        }
        let (epoch, changelog) = self.run(&script).await?;
        Ok(ViewPosition { epoch, changelog })
    }

    async fn look_up(&self, partition: u32, fields: &[Bytes]) -> Result<Looked, ViewError> {
        let mut keys = Keys::new(&self.names, partition);
        let mut script = self.scripts.look_up.prepare_invoke();
        for field in fields {
            script.arg(keys.place(Bucket::of(field))).arg(field.as_ref());
        }
        script.key(keys.names_in_order);
        let answer: Vec<Option<Vec<u8>>> = self.run(&script).await?;
        let number = |at: usize| {
            let text = std::str::from_utf8(answer.get(at)?.as_deref()?).ok()?;
            text.parse::<u64>().ok()
        };
        let (Some(epoch), Some(changelog)) = (number(0), number(1)) else {
            return Err(ViewError::Unavailable("it gave no answer".to_owned()));
        };
        let position = ViewPosition { epoch, changelog };
        let values: Vec<_> = answer.into_iter().skip(2).map(|v| v.map(Bytes::from)).collect();
        if values.len() != fields.len() {
            return Err(ViewError::Unavailable("it answered half of a look-up".to_owned()));
        }
        Ok(Looked { position, values })
    }

    async fn apply(&self, apply: &Apply) -> Result<(), ViewError> {
        if apply.after == 0 {
            // It may never have been used, or hold what nobody counts any more.
            self.position(apply.partition).await?;
        }
        let in_buckets = by_bucket(&apply.states);
        let pieces = cut(&in_buckets);
        let count = pieces.len().max(1);
        let of = if count > 1 { self.next_apply() } else { String::new() };
        let before = &pieces[..count - 1];
        let numbered: Vec<_> = before.iter().zip(1..).collect();
        for some in numbered.chunks(PIECES_IN_FLIGHT) {
            let under_way = some.iter().map(|(states, number)| {
                self.apply_piece(apply, states, Piece { of: &of, number: *number, count })
            });
            try_join_all(under_way).await?;
        }
        let last = pieces.last().copied().unwrap_or_default();
        self.apply_piece(apply, last, Piece { of: &of, number: count, count }).await
    }

    /// A name that no other apply has, of whatever process.
    fn next_apply(&self) -> String {
        let number = self.applies.fetch_add(1, Ordering::Relaxed);
        format!("{}.{number}:", self.us)
    }

    async fn account(&self, partition: u32) -> Result<Account, ViewError> {
        let meta: HashMap<String, String> = self.meta("HGETALL", partition, &[]).await?;
        let number = |text: &String| text.parse::<u64>().unwrap_or_default();
        let counts = meta.iter().filter(|(name, _)| name.starts_with("b:"));
        Ok(Account {
            changelog: meta.get("changelog").map_or(0, number),
            states: counts.map(|(_, count)| number(count)).sum(),
        })
    }

    async fn begin_anew(&self, partition: u32) -> Result<(), ViewError> {
        let _how_many: u64 = self.meta("DEL", partition, &[]).await?;
        // Without a meta, all that is left goes.
        self.position(partition).await.map(drop)
    }

    async fn meta<T: redis::FromRedisValue>(
        &self,
        command: &str,
        partition: u32,
        more: &[&str],
    ) -> Result<T, ViewError> {
        let mut asked = redis::cmd(command);
        asked.arg(self.names.meta(partition)).arg(more);
        self.query(&asked).await
    }

    async fn query<T: redis::FromRedisValue>(&self, asked: &redis::Cmd) -> Result<T, ViewError> {
        let reached = self.link.reached().await.map_err(unavailable)?;
        let answer = asked.query_async(&mut reached.connection.clone()).await;
        self.link.heard(&reached, answer).map_err(unavailable)
    }

    async fn scan(
        &self,
        partition: u32,
        after: Bytes,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, ViewError> {
        let mut at = Some(if after.is_empty() { Bucket::FIRST } else { Bucket::of(&after) });
        let mut after = Some(after);
        let mut found: Vec<(Bytes, Bytes)> = vec![];
        while let Some(bucket) = at.filter(|_| found.len() < limit) {
            let key = self.names.bucket(partition, bucket);
            let fields: Vec<(Vec<u8>, Vec<u8>)> =
                self.query(redis::cmd("HGETALL").arg(key)).await?;
            let from = after.take().unwrap_or_default();
            let mut rest: Vec<(Bytes, Bytes)> = fields
                .into_iter()
                .filter(|(field, _)| field.as_slice() > from.as_ref())
                .map(|(field, stands)| (Bytes::from(field), Bytes::from(stands)))
                .map(|(field, stands)| (field, stands.slice(STAMP_BYTES.min(stands.len())..)))
                .collect();
            rest.sort_unstable();
            found.extend(rest);
            at = bucket.next();
        }
        found.truncate(limit);
        Ok(found)
    }

    async fn run<T: redis::FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, ViewError> {
        let reached = self.link.reached().await.map_err(unavailable)?;
        let answer = script.invoke_async(&mut reached.connection.clone()).await;
        self.link.heard(&reached, answer).map_err(unavailable)
    }
}

/// One of the scripts that an apply takes. The last moves the position, where all others are in.
#[derive(Clone, Copy)]
struct Piece<'a> {
    /// The name of the apply; empty where one script is all of it.
    of: &'a str,
    /// From 1 on.
    number: usize,
    count: usize,
}

impl View for RedisView {
    async fn position(&self, partition: u32) -> Result<ViewPosition, ViewError> {
        let server = Arc::clone(&self.server);
        self.ask(async move { server.position(partition).await }).await
    }

    async fn look_up(&self, partition: u32, fields: Vec<Bytes>) -> Result<Looked, ViewError> {
        let server = Arc::clone(&self.server);
        self.ask(async move { server.look_up(partition, &fields).await }).await
    }

    async fn apply(&self, apply: Apply) -> Result<(), ViewError> {
        let server = Arc::clone(&self.server);
        self.ask(async move { server.apply(&apply).await }).await
    }

    async fn scan(
        &self,
        partition: u32,
        after: Bytes,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, ViewError> {
        let server = Arc::clone(&self.server);
        self.ask(async move { server.scan(partition, after, limit).await }).await
    }
}

/// Before each state stands the changelog position that it was shown with.
const STAMP_BYTES: usize = 8;

/// A state to be applied, and the bucket that it belongs to.
type InBucket<'a> = (Bucket, &'a (Bytes, Bytes));

/// What is of one bucket stands together: a script asks for and writes it with one command.
fn by_bucket(states: &[(Bytes, Bytes)]) -> Vec<InBucket<'_>> {
    let mut states: Vec<InBucket<'_>> =
        states.iter().map(|state| (Bucket::of(&state.0), state)).collect();
    states.sort_by_key(|(bucket, _)| *bucket);
    states
}

/// Cuts what is to be applied into pieces that one script may take. Each has something in it.
fn cut<'a, 'b>(states: &'b [InBucket<'a>]) -> Vec<&'b [InBucket<'a>]> {
    let mut pieces = vec![];
    let mut rest = states;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |(_, (field, state)): &&InBucket<'_>| {
            bytes += field.len() + state.len();
            bytes <= PIECE_BYTES
        };
        let count = rest.iter().take(PIECE_STATES).take_while(fits).count().max(1);
        let (piece, others) = rest.split_at(count);
        pieces.push(piece);
        rest = others;
    }
    pieces
}

/// The server's words name keys at most, and those are ids.
fn unavailable(error: RedisError) -> ViewError {
    ViewError::Unavailable(error.to_string())
}
