//! `pliant fetch`

use pliant_envs::classification::{FetchOptions, data_folder, fetch};

use crate::{
    cli::FetchArgs,
    failure::{Failure, Outcome},
};

/// Gets a data set into the data folder; does nothing if it is there and whole.
pub fn run(args: &FetchArgs) -> Outcome {
    let folder = data_folder(None);
    std::fs::create_dir_all(&folder).map_err(|error| {
        let place = folder.display();
        Failure::Input(format!("the data folder {place} (PLIANT_DATA) cannot be made: {error}"))
    })?;
    let options = FetchOptions { from: args.from.clone(), ..FetchOptions::default() };
    let fetched = fetch(args.dataset, &options, &mut |line| tell!("{line}"));
    let folder = fetched.map_err(|error| match &args.from {
        Some(_) => Failure::Input(error.to_string()),
        None => Failure::Run(error.to_string()),
    })?;
    say!("{}", folder.display());
    Ok(())
}
