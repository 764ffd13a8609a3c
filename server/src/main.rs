//! The publisher: sends a stream once, to every subscriber.

use std::process::ExitCode;

fn main() -> ExitCode {
    server::cli::main(std::env::args_os())
}
