//! pliant with the plug-ins of this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    pliant::prepare(); // before anything touches libtorch
    let mut plugins = pliant::plugins::builtin();
    custom_intervention::register(&mut plugins);
    pliant::cli::main(plugins)
}
