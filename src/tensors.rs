//! Files of tensors.

use std::{fs::File, path::Path};

use pliant_core::tch::{TchError, Tensor};

/// The tensors of a safetensors file, by name. The error leaves it to the caller to name the file.
pub fn read(path: &Path) -> Result<Vec<(String, Tensor)>, String> {
    File::open(path).map_err(|error| error.to_string())?;
    Tensor::read_safetensors(path).map_err(|error| match error {
        TchError::SafeTensorError { err, .. } => format!("is no whole safetensors file ({err:?})"),
        other => other.to_string(),
    })
}
