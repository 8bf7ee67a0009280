use clap::Parser;
use std::io::{self, Write};
use std::process::ExitCode;
use tidegate::cli::{self, Cli, exit};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    let done = cli::run(&Cli::parse(), &mut out);
    match done.and_then(|code| cli::unless_closed(out.flush()).map(|()| code)) {
        Ok(code) => ExitCode::from(code),
        // Whoever read it, such as `head`, has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(exit::OK),
        Err(error) => {
            eprintln!("tidegate: cannot write the answer: {error}");
            ExitCode::from(exit::USAGE)
        }
    }
}
