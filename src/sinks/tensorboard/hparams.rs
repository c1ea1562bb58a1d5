//! A run's settings and end, as TensorBoard's HPARAMS page reads them.

use protobuf::{Message, well_known_types};
use tensorboard_proto::{
    api::{DataType, Experiment, HParamInfo, MetricInfo, MetricName, Status},
    plugin_hparams::{HParamsPluginData, SessionEndInfo, SessionStartInfo},
    summary::Summary_Value,
};

use super::summary;

/// A setting's value.
#[derive(Clone, Debug, PartialEq)]
pub enum HparamValue {
    /// A number.
    Number(f64),
    /// A switch.
    Bool(bool),
    /// Anything else.
    Text(String),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It reached its budget.
    Done,
    /// It stopped with an error.
    Failed,
}

pub(super) fn session_start(
    hparams: &[(String, HparamValue)],
    metric_tags: &[&str],
    unix_seconds: f64,
) -> Vec<Summary_Value> {
    let mut start = SessionStartInfo::new();
    start.set_hparams(hparams.iter().map(|(name, value)| (name.clone(), proto(value))).collect());
    start.set_start_time_secs(unix_seconds);
    let mut data = HParamsPluginData::new();
    data.set_session_start_info(start);
    let mut values = vec![hparams_value("_hparams_/session_start_info", &data)];
    if !metric_tags.is_empty() {
        let mut data = HParamsPluginData::new();
        data.set_experiment(experiment(hparams, metric_tags, unix_seconds));
        values.push(hparams_value("_hparams_/experiment", &data));
    }
    values
}

pub(super) fn session_end(outcome: Outcome, unix_seconds: f64) -> Summary_Value {
    let mut end = SessionEndInfo::new();
    end.set_status(match outcome {
        Outcome::Done => Status::STATUS_SUCCESS,
        Outcome::Failed => Status::STATUS_FAILURE,
    });
    end.set_end_time_secs(unix_seconds);
    let mut data = HParamsPluginData::new();
    data.set_session_end_info(end);
    hparams_value("_hparams_/session_end_info", &data)
}

/// Which columns the table has.
fn experiment(
    hparams: &[(String, HparamValue)],
    metric_tags: &[&str],
    unix_seconds: f64,
) -> Experiment {
    let hparam_infos = hparams.iter().map(|(name, value)| {
        let mut info = HParamInfo::new();
        info.set_name(name.clone());
        info.set_field_type(match value {
            HparamValue::Number(_) => DataType::DATA_TYPE_FLOAT64,
            HparamValue::Bool(_) => DataType::DATA_TYPE_BOOL,
            HparamValue::Text(_) => DataType::DATA_TYPE_STRING,
        });
        info
    });
    let metric_infos = metric_tags.iter().map(|&tag| {
        let mut name = MetricName::new();
        name.set_tag(tag.to_owned());
        let mut info = MetricInfo::new();
        info.set_name(name);
        info
    });
    let mut experiment = Experiment::new();
    experiment.set_hparam_infos(hparam_infos.collect());
    experiment.set_metric_infos(metric_infos.collect());
    experiment.set_time_created_secs(unix_seconds);
    experiment
}

fn proto(value: &HparamValue) -> well_known_types::Value {
    let mut proto = well_known_types::Value::new();
    match value {
        HparamValue::Number(number) => proto.set_number_value(*number),
        HparamValue::Bool(switch) => proto.set_bool_value(*switch),
        HparamValue::Text(text) => proto.set_string_value(text.clone()),
    }
    proto
}

fn hparams_value(tag: &str, data: &HParamsPluginData) -> Summary_Value {
    let content = data.write_to_bytes().expect("these messages have no required fields");
    summary::plugin(tag, "hparams", content, summary::nothing())
}
