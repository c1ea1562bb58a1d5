//! Files of tensors.

use std::{fs::File, path::Path};

use pliant_core::tch::{TchError, Tensor};

/// The tensors of a safetensors file, by name. The error leaves it to the caller to name the file.
pub fn read(path: &Path) -> Result<Vec<(String, Tensor)>, String> {
    let file =
        File::open(path).and_then(|file| file.metadata()).map_err(|error| error.to_string())?;
    if file.is_dir() {
        return Err("is a folder, expected a safetensors file".to_owned());
    }
    Tensor::read_safetensors(path).map_err(|error| match error {
        TchError::SafeTensorError { err, .. } => {
            format!("is no whole safetensors file ({})", in_words(&format!("{err:?}")))
        }
        other => other.to_string(),
    })
}

/// `HeaderTooLarge` as `header too large`; what follows a name that is no letter stays as it is.
fn in_words(name: &str) -> String {
    let end = name.find(|letter: char| !letter.is_alphabetic()).unwrap_or(name.len());
    let mut words = String::new();
    for letter in name[..end].chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words + &name[end..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_of_tensors_is_told_in_words() {
        assert_eq!(in_words("HeaderTooLarge"), "header too large");
        assert_eq!(in_words("TensorNotFound(\"x\")"), "tensor not found(\"x\")");
        let error = read(Path::new("/")).expect_err("a folder");
        assert!(error.contains("is a folder"), "{error}");
    }
}
