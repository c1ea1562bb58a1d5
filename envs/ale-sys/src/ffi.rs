//! The C functions of `shim/shim.cpp`. Those that answer `i64` answer -1 on an error.

use std::ffi::{c_char, c_void};

// Its symbols are what the emulator's own ROM reader links to.
use libz_sys as _;

#[repr(C)]
pub struct RawAle {
    _private: [u8; 0],
}

#[repr(C)]
#[derive(Default)]
pub struct RawStatus {
    pub lives: i32,
    pub terminal: i32,
    pub truncated: i32,
    pub height: i32,
    pub width: i32,
}

/// What `pliant_ale_list` lists.
#[repr(i32)]
#[derive(Clone, Copy)]
pub enum List {
    MinimalActions = 0,
    LegalActions = 1,
    Modes = 2,
    Difficulties = 3,
}

unsafe extern "C" {
    pub fn pliant_ale_error() -> *const c_char;
    pub fn pliant_ale_new() -> *mut RawAle;
    pub fn pliant_ale_delete(ale: *mut RawAle);
    pub fn pliant_ale_load(
        ale: *mut RawAle,
        rom: *const c_char,
        random_seed: i32,
        repeat_action_probability: f32,
        max_num_frames_per_episode: i32,
    ) -> i64;
    pub fn pliant_ale_list(ale: *mut RawAle, which: i32, out: *mut u32, capacity: u64) -> i64;
    pub fn pliant_ale_set_mode(ale: *mut RawAle, mode: u32) -> i64;
    pub fn pliant_ale_set_difficulty(ale: *mut RawAle, difficulty: u32) -> i64;
    pub fn pliant_ale_reset(ale: *mut RawAle) -> i64;
    pub fn pliant_ale_act(ale: *mut RawAle, action: i32, reward: *mut i32) -> i64;
    pub fn pliant_ale_status(ale: *mut RawAle, status: *mut RawStatus) -> i64;
    pub fn pliant_ale_screen(ale: *mut RawAle) -> *const u8;
    pub fn pliant_ale_greys(ale: *mut RawAle, out: *mut u8) -> i64;
    pub fn pliant_ale_screen_rgb(ale: *mut RawAle, out: *mut u8) -> i64;
    pub fn pliant_ale_save(
        ale: *mut RawAle,
        sink: extern "C" fn(*mut c_void, *const u8, u64),
        context: *mut c_void,
    ) -> i64;
    pub fn pliant_ale_restore(ale: *mut RawAle, bytes: *const u8, length: u64) -> i64;
}
