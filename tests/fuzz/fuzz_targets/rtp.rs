//! libFuzzer's entry to the target `rtp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tandem_fuzz::targets::rtp(bytes));
