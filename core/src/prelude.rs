//! What an intervention or a probe mostly needs: `use pliant_core::prelude::*;`

pub use tch::Tensor;

pub use crate::{
    clock::{Clock, Every},
    error::{Error, Result},
    export_plugin,
    intervention::{Hook, Intervention},
    learner::Learner,
    metrics::Metrics,
    network::NetworkPlan,
    probe::{Probe, ProbeData, Subject},
    registry::Plugins,
    seeds::Stream,
    state::{Checkpoint, StateDict},
    stateless,
};
