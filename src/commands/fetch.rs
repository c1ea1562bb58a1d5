//! `pliant fetch`

use pliant_envs::classification::{FetchOptions, Source, fetch_mnist};

use crate::{
    cli::FetchArgs,
    failure::{Failure, Outcome},
};

/// Gets a data set into the data folder; does nothing if it is there and whole.
pub fn run(args: &FetchArgs) -> Outcome {
    let mut options = FetchOptions::default();
    if let Some(folder) = &args.from {
        options.sources = vec![Source::Folder(folder.clone())];
    }
    let folder =
        fetch_mnist(&options, &mut |line| eprintln!("{line}")).map_err(|error| {
            match &args.from {
                Some(_) => Failure::Input(error.to_string()),
                None => Failure::Run(error.to_string()),
            }
        })?;
    println!("{}", folder.display());
    Ok(())
}
