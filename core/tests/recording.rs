//! A recording that fails leaves work that goes on. In a program of its own: nothing is recorded after it. Without a GPU this
//! says so and passes; for one, libtorch's CUDA part must be loaded first (`LD_PRELOAD`).

use std::io::Write as _;

use pliant_core::{
    recording::{Recorder, Signature},
    tch::{Cuda, Device, Kind, Tensor},
};

#[test]
fn work_that_cannot_be_recorded_goes_on_as_it_comes() {
    if !Cuda::is_available() {
        let _ = writeln!(std::io::stderr(), "failed recordings: skipped, there is no CUDA device");
        return;
    }
    let device = Device::Cuda(0);
    let number = Tensor::zeros([4], (Kind::Float, device));
    let of = |number: &Tensor| Signature::default().tensors([number]);
    let mut reading = Recorder::new(device, true);
    for round in 0..30 {
        let read = reading.run(
            &number,
            |number| of(number),
            |number| {
                number.shallow_clone().g_add_scalar_(1.0).double_value(&[0]); // waits for the device
                Some(number.shallow_clone())
            },
        );
        assert!(read.is_some());
        assert_eq!(number.double_value(&[0]), f64::from(round + 1), "once each time");
        assert!(!reading.has_recorded());
    }
    assert!(!reading.is_on(), "it was tried, and given up");
    let mut sound = Recorder::new(device, true);
    for round in 0..30 {
        sound.run(
            &number,
            |number| of(number),
            |number| {
                let _ = number.shallow_clone().g_add_scalar_(1.0);
            },
        );
        assert_eq!(number.double_value(&[0]), f64::from(30 + round + 1), "once each time");
        assert!(!sound.has_recorded(), "after a failure nothing is recorded in this process");
    }
}
