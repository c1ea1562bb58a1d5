//! Plug-ins in shared libraries, which `pliant --plugin FILE` loads.
//!
//! A library brings two functions: one gives its [stamp](stamp::text), one hands over its kinds. Rust
//! has no stable binary interface, so the program compares the stamp with its own before it calls
//! anything else. A library has its own copy of Rust's run time, and a panic that left it would end
//! the process: every call is caught on the library's side and becomes an error (`guard.rs`).

mod guard;
pub mod stamp;

use std::ffi::c_void;

pub(crate) use guard::{caught, panic_text};

use crate::{
    intervention::Intervention,
    probe::Probe,
    registry::{Plugins, Registry},
};

/// The name of the function that gives the stamp: `extern "C" fn() -> *const c_char`.
pub const STAMP_SYMBOL: &str = "pliant_plugin_stamp";

/// The name of the function that hands over the kinds: `extern "C" fn(*mut c_void)`, whose argument
/// points to a [`Handover`].
pub const REGISTER_SYMBOL: &str = "pliant_plugin_register";

/// What a library brings.
pub struct Brought {
    /// Its interventions.
    pub interventions: Registry<Box<dyn Intervention>>,
    /// Its probes.
    pub probes: Registry<Box<dyn Probe>>,
}

/// Where a library leaves what it brings, or why it brings nothing.
pub type Handover = Result<Brought, String>;

/// Makes a shared library of a crate's `fn(&mut Plugins)`: `export_plugin!(register);`
///
/// The function may register interventions and probes. Once per crate, and in one crate of a program.
#[macro_export]
macro_rules! export_plugin {
    ($register:path) => {
        /// The stamp by which the program knows whether it may load this library.
        #[unsafe(no_mangle)]
        pub extern "C" fn pliant_plugin_stamp() -> *const ::std::ffi::c_char {
            $crate::plugin::stamp::as_c_string().as_ptr()
        }

        /// Hands over this library's kinds.
        ///
        /// # Safety
        /// `handover` points to a `pliant_core::plugin::Handover` of a program with the same stamp.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn pliant_plugin_register(handover: *mut ::std::ffi::c_void) {
            // SAFETY: as this function's own.
            unsafe { $crate::plugin::hand_over($register, handover) }
        }
    };
}

/// What [`export_plugin!`] calls: lets `register` register, and leaves the kinds, guarded, in `handover`.
///
/// # Safety
/// `handover` points to a [`Handover`] of a program with the same stamp.
pub unsafe fn hand_over(register: fn(&mut Plugins), handover: *mut c_void) {
    let brought = panic_text(|| collect(register))
        .unwrap_or_else(|text| Err(format!("registering panicked: {text}")));
    // SAFETY: by this function's contract.
    unsafe { *handover.cast::<Handover>() = brought };
}

fn collect(register: fn(&mut Plugins)) -> Handover {
    let mut plugins = Plugins::empty();
    register(&mut plugins);
    let Plugins { envs, networks, optimizers, agents, interventions, probes, .. } = plugins;
    let others = [envs.summary(), networks.summary(), optimizers.summary(), agents.summary()];
    if let Some(other) = others.into_iter().flatten().next() {
        return Err(format!(
            "registers the {other}, but a loaded plug-in brings interventions and probes only: \
             register it in a program of your own, see examples/custom-intervention/src/main.rs"
        ));
    }
    Ok(Brought {
        interventions: interventions.guarded(guard::intervention),
        probes: probes.guarded(guard::probe),
    })
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;
    use crate::optimizer::Sgd;

    fn brought(register: fn(&mut Plugins)) -> Handover {
        let mut handover: Handover = Err("nothing was handed over".to_owned());
        // SAFETY: it points to a `Handover` of this very program.
        unsafe { hand_over(register, ptr::from_mut(&mut handover).cast()) };
        handover
    }

    #[test]
    fn nothing_registered_is_nothing_brought() {
        let brought = brought(|_| {}).expect("allowed");
        assert_eq!(brought.interventions.iter().count() + brought.probes.iter().count(), 0);
    }

    #[test]
    fn a_kind_of_another_family_is_refused_by_name() {
        let register = |plugins: &mut Plugins| {
            plugins.optimizers.register("mine", Sgd::build);
        };
        let reason = brought(register).err().expect("refused");
        assert!(reason.contains("optimizer `mine`") && reason.contains("own"), "{reason}");
    }

    #[test]
    fn a_panic_while_registering_is_an_error() {
        let reason = brought(|_| panic!("boom")).err().expect("refused");
        assert_eq!(reason, "registering panicked: boom");
    }
}
