//! libFuzzer's entry to the target `identity`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tandem_fuzz::targets::identity(bytes));
