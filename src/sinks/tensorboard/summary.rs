//! Measured values in the forms that TensorBoard's pages read.

use pliant_core::{envs::env::Picture, error::Result, metrics::Value};
use tensorboard_proto::{
    summary::{
        Summary_Image, Summary_Value, SummaryMetadata, SummaryMetadata_PluginData as PluginData,
    },
    tensor::TensorProto,
    tensor_shape::{TensorShapeProto, TensorShapeProto_Dim},
    types::DataType,
};

use crate::{
    plot,
    sinks::{histogram::Histogram, picture},
};

/// TensorBoard's number for RGB.
const RGB: i32 = 3;

/// Appends what `value` becomes: mostly one summary value.
pub(super) fn append(values: &mut Vec<Summary_Value>, tag: &str, value: &Value) -> Result<()> {
    match value {
        Value::Scalar(number) => values.push(scalar(tag, *number)),
        Value::Histogram(raw) => {
            let histogram = Histogram::of(raw);
            if histogram.dropped > 0 {
                values.push(scalar(&format!("{tag}/dropped"), histogram.dropped as f64));
            }
            values.push(plugin(tag, "histograms", Vec::new(), three_columns(&histogram)));
        }
        Value::Images { frames, fps } => values.extend(images(tag, frames, *fps)?),
        Value::Film { gif, width, height } => {
            values.push(image(tag, (*width).into(), (*height).into(), gif.clone()));
        }
        Value::Curves(curves) => {
            values.extend(figure(tag, plot::curves_picture(tag, curves)?)?);
        }
        Value::Matrix(matrix) => {
            values.extend(figure(tag, plot::matrix_picture(tag, matrix)?)?);
        }
        Value::Text(text) => {
            values.push(plugin(tag, "text", Vec::new(), string(text.clone().into_bytes())));
        }
    }
    Ok(())
}

/// A value of one of TensorBoard's plugins: `content` is the plugin's own message.
pub(super) fn plugin(
    tag: &str,
    name: &str,
    content: Vec<u8>,
    tensor: TensorProto,
) -> Summary_Value {
    let mut data = PluginData::new();
    data.set_plugin_name(name.to_owned());
    data.set_content(content);
    let mut metadata = SummaryMetadata::new();
    metadata.set_plugin_data(data);
    let mut value = tagged(tag);
    value.set_metadata(metadata);
    value.set_tensor(tensor);
    value
}

/// A tensor of one string and no dimension.
pub(super) fn string(bytes: Vec<u8>) -> TensorProto {
    let mut tensor = tensor(DataType::DT_STRING, &[]);
    tensor.set_string_val(vec![bytes].into());
    tensor
}

/// A tensor without elements, for values that are all metadata.
pub(super) fn nothing() -> TensorProto {
    tensor(DataType::DT_FLOAT, &[0])
}

fn tagged(tag: &str) -> Summary_Value {
    let mut value = Summary_Value::new();
    value.set_tag(tag.to_owned());
    value
}

/// TensorBoard keeps 32-bit floats whichever form a scalar comes in; this one every reader knows.
fn scalar(tag: &str, number: f64) -> Summary_Value {
    let mut value = tagged(tag);
    value.set_simple_value(number as f32);
    value
}

/// Left edge, right edge and count of each bin.
fn three_columns(histogram: &Histogram) -> TensorProto {
    let mut tensor = tensor(DataType::DT_DOUBLE, &[histogram.bins.len(), 3]);
    let rows = histogram.bins.iter().flat_map(|bin| [bin.left, bin.right, bin.count as f64]);
    tensor.set_tensor_content(rows.flat_map(f64::to_le_bytes).collect());
    tensor
}

fn images(tag: &str, frames: &[Picture], fps: u32) -> Result<Option<Summary_Value>> {
    let Some(first) = frames.first() else { return Ok(None) };
    let file = match frames {
        [one] => picture::png(one)?,
        several => picture::gif(several, fps)?,
    };
    // The encoders refuse sides of more than 16 bits.
    Ok(Some(image(tag, first.width as i32, first.height as i32, file)))
}

/// What was drawn, if there was something to draw.
fn figure(tag: &str, drawn: Option<Picture>) -> Result<Option<Summary_Value>> {
    drawn.map_or(Ok(None), |picture| images(tag, &[picture], 1))
}

fn image(tag: &str, width: i32, height: i32, file: Vec<u8>) -> Summary_Value {
    let mut image = Summary_Image::new();
    image.set_height(height);
    image.set_width(width);
    image.set_colorspace(RGB);
    image.set_encoded_image_string(file);
    let mut value = tagged(tag);
    value.set_image(image);
    value
}

fn tensor(dtype: DataType, shape: &[usize]) -> TensorProto {
    let dims = shape.iter().map(|&size| {
        let mut dim = TensorShapeProto_Dim::new();
        dim.set_size(size as i64);
        dim
    });
    let mut tensor_shape = TensorShapeProto::new();
    tensor_shape.set_dim(dims.collect());
    let mut tensor = TensorProto::new();
    tensor.set_dtype(dtype);
    tensor.set_tensor_shape(tensor_shape);
    tensor
}
