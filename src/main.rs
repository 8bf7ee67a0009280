use clap::Parser;
use std::io::{self, Write};
use std::process::ExitCode;
use tidegate::cli::{self, Cli, exit};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    match cli::run(&Cli::parse(), &mut out).and_then(|code| out.flush().map(|()| code)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("tidegate: cannot write the answer: {error}");
            ExitCode::from(exit::USAGE)
        }
    }
}
