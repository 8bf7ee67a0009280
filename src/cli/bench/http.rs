//! The same load through the public listener: real sockets, one delivery per request, keep-alive,
//! every answer after its fsync. The client is on a thread of its own and is counted apart.

use super::LoadArgs;
use super::latency::Latencies;
use super::load::{Gun, Load, Shot};
use super::on_folder::OnFolder;
use super::process::thread_cpu_seconds;
use super::report::Report;
use super::stage::{ENDPOINT, Fired, Sent, Stage, pace, secret};
use crate::config::Http;
use crate::http::connections::Connections;
use crate::http::listen;
use crate::http::public::Public;
use crate::ports::{Clock, SystemClock};
use crate::telemetry::Metrics;
use anyhow::Context;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub async fn run(args: &LoadArgs) -> anyhow::Result<Report> {
    let metrics = Metrics::new()?;
    let ground = OnFolder::start(args, metrics.clone()).await?;
    let stage = Stage::set(ground, args, metrics.clone())?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let bounds = Http {
        max_body_bytes: 256 << 10,
        bodies_memory_bytes: 64 << 20,
        header_deadline: Duration::from_secs(5),
        body_deadline: Duration::from_secs(10),
    };
    let public = Public { door: stage.door.clone(), bounds };
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let bound = listen::public(any, cores, Connections::MOST, public, metrics)?;
    let (at, handle) = (bound.at, bound.handle());
    actix_rt::spawn(bound.server);
    let (load, sent, attempts) = (args.clone(), Arc::clone(&stage.sent), stage.attempts);
    let (fired_to, fired) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("client".to_owned()).spawn(move || {
        let _nobody = fired_to.send(client(at, &load, attempts, &sent));
    })?;
    let fired = fired.await.context("the client panicked")??;
    handle.stop(true).await;
    stage.strike("http", args, fired).await
}

struct Shared<'a> {
    args: &'a LoadArgs,
    gun: Gun,
    load: RefCell<Load>,
    issued: RefCell<u64>,
    acks: RefCell<Latencies>,
    completions: RefCell<u64>,
    sent: &'a Sent,
    began: Instant,
}

fn client(at: SocketAddr, args: &LoadArgs, attempts: u64, sent: &Sent) -> anyhow::Result<Fired> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let load = Load::new(args.seed, args.events, attempts, args.duplicates, args.reordered);
    let shared = Rc::new(Shared {
        args,
        gun: Gun::new(secret(), SystemClock.now().seconds()),
        load: RefCell::new(load),
        issued: RefCell::new(0),
        acks: RefCell::new(Latencies::default()),
        completions: RefCell::new(0),
        sent,
        began: Instant::now(),
    });
    runtime.block_on(async {
        let connections = (0..args.connections.max(1)).map(|_| connection(at, Rc::clone(&shared)));
        futures_util::future::try_join_all(connections).await
    })?;
    Ok(Fired {
        acks: shared.acks.borrow().clone(),
        generator_cpu: thread_cpu_seconds(),
        completions: *shared.completions.borrow(),
        duplicates: shared.load.borrow().duplicates(),
    })
}

/// Takes its turns of the load until it is used up.
async fn connection(at: SocketAddr, shared: Rc<Shared<'_>>) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(at).await?;
    stream.set_nodelay(true)?;
    let mut answer = Vec::with_capacity(1024);
    loop {
        let turn = {
            let mut issued = shared.issued.borrow_mut();
            if *issued >= shared.args.events {
                return Ok(());
            }
            *issued += 1;
            *issued - 1
        };
        let asked = pace(shared.args.rate, shared.began, turn).await;
        let shot = shared.load.borrow_mut().next();
        if shot.completes() && !shot.copy {
            shared.sent.note(shot.attempt);
            *shared.completions.borrow_mut() += 1;
        }
        let mut wait = Duration::from_millis(5);
        while !deliver(&mut stream, &shared.gun, shot, &mut answer).await? {
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(1));
        }
        shared.acks.borrow_mut().record(asked.elapsed().as_nanos() as u64);
    }
}

/// Sends one delivery; false where it is to come again.
async fn deliver(
    stream: &mut TcpStream,
    gun: &Gun,
    shot: Shot,
    answer: &mut Vec<u8>,
) -> anyhow::Result<bool> {
    let body = gun.body(shot);
    let signature = gun.sign(SystemClock.now().seconds(), &body);
    let mut request = format!(
        "POST /webhooks/{ENDPOINT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         gate-signature: {signature}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(&body);
    stream.write_all(&request).await?;
    answer.clear();
    loop {
        let count = stream.read_buf(answer).await?;
        anyhow::ensure!(count > 0, "the server closed a connection");
        if let Some(status) = whole(answer)? {
            match status {
                200 => return Ok(true),
                503 => return Ok(false),
                other => anyhow::bail!("a delivery was answered {other}"),
            }
        }
    }
}

/// The status of an answer that is here to its end.
fn whole(answer: &[u8]) -> anyhow::Result<Option<u16>> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&answer[..end])?;
    let length: usize = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
        })
        .context("an answer without a length")?;
    if answer.len() < end + 4 + length {
        return Ok(None);
    }
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    Ok(Some(status.context("an answer without a status")?))
}
