//! The subscriber's binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    client::cli::main(std::env::args_os())
}
