//! libFuzzer's entry to the target `control_line`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tandem_fuzz::targets::control_line(bytes));
