//! What work on a GPU needs beside tch: memory that it copies from by itself, streams beside each other, and whether
//! it takes our kernels.

pub use pliant_torch_ext::{
    copy_without_waiting,
    fused::why_no_kernels,
    graph::{Beside, Lane, beside},
    page_locked,
};
