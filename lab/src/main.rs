//! The `lab` program: networks on one machine, and what is shown on them.

use std::process::ExitCode;

fn main() -> ExitCode {
    lab::cli::main(std::env::args_os())
}
