//! The `pliant` program with its built-in plug-ins.

use std::process::ExitCode;

fn main() -> ExitCode {
    pliant::prepare(); // before anything touches libtorch
    pliant::cli::main(pliant::plugins::builtin())
}
