//! Block MDPs over labelled images (Lyle et al., 2023, section 2): acting well is classifying.

mod cifar10;
mod dataset;
mod fetch;
mod files;
mod idx;
mod mdp;
mod names;
mod random_labels;
mod rules;
mod values;

pub use dataset::{Dataset, Split};
pub use fetch::{FetchOptions, fetch};
pub(crate) use mdp::picture;
pub use mdp::{ClassificationConfig, ClassificationFactory};
pub use names::{DatasetName, data_folder};
pub use rules::RewardRule;
