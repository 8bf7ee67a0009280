//! What a supervisor is told of a process, and by which code.

use super::support::running::{Dev, folder, tidegate};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

/// The exit code, what was answered and what was complained of.
fn health(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = tidegate();
    command.arg("health").args(arguments).envs(environment.iter().copied());
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_process_that_is_well_is_found_by_its_address_its_file_or_its_environment() {
    let folder = folder();
    let dev = Dev::start(folder.path());
    let ops = dev.at("ops");
    let file = folder.path().join("tidegate.toml");
    // A process may listen on every address, and is asked on this machine.
    let anywhere = ops.replace("127.0.0.1", "0.0.0.0");
    std::fs::write(&file, format!("[listen]\nops = \"{anywhere}\"\n")).unwrap();
    let file = file.to_str().unwrap();
    let well = |answer: &str| (0, format!("{answer}\n"), String::new());

    assert_eq!(health(&["--ops", &ops], &[]), well("up"));
    assert_eq!(health(&["--ready", "--ops", &ops], &[]), well("ready"));
    assert_eq!(health(&["--ready", "--config", file], &[]), well("ready"));
    assert_eq!(health(&[], &[("TIDEGATE_LISTEN__OPS", &ops)]), well("up"));

    let (code, _, said) = health(&["--ops", &dev.at("api")], &[]);
    assert_eq!(code, 1, "another listener is not the one that knows: {said}");
    assert!(said.contains("not as an ops listener does"), "{said}");

    assert_eq!(dev.end(), 0);
    let (code, answered, said) = health(&["--ops", &ops], &[]);
    assert_eq!((code, answered.as_str()), (1, ""), "nobody is there: {said}");
    assert!(said.contains(&format!("no answer from http://{ops}")), "{said}");
}

/// Answers one request with a 503 that says this.
fn unavailable_once(problem: &'static str) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _asked = stream.read(&mut [0; 1024]).unwrap();
        let head = "HTTP/1.1 503 Service Unavailable\r\ncontent-length:";
        write!(stream, "{head} {}\r\n\r\n{problem}", problem.len()).unwrap();
    });
    (at, answering)
}

#[test]
fn a_process_that_is_not_ready_says_why() {
    let (at, answering) =
        unavailable_once(r#"{"code":"not_ready","detail":"starting: partitions\u001b[2J wait"}"#);
    let (code, answered, said) = health(&["--ready", "--ops", &at.to_string()], &[]);
    answering.join().unwrap();
    assert_eq!((code, answered.as_str()), (1, ""), "{said}");
    assert!(said.contains("is not ready: starting: partitions"), "{said}");
    assert!(!said.contains('\u{1b}'), "a terminal obeys what is in an answer");
}

#[test]
fn a_supervisor_that_asks_wrongly_is_told_how_to_ask() {
    for (arguments, environment, code, expected) in [
        (&["--ops", "localhost:8482"][..], &[][..], 2, "write a numeric address and a port"),
        (&["--ops", "127.0.0.1:0"], &[], 78, "give `listen.ops` a port"),
        (&["--config", "/nonexistent.toml"], &[], 78, "/nonexistent.toml"),
        (&[], &[("TIDEGATE_LISTEN__OPS", "nowhere")], 78, "TIDEGATE_LISTEN__OPS"),
    ] {
        let (found, _, said) = health(arguments, environment);
        assert_eq!(found, code, "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}
