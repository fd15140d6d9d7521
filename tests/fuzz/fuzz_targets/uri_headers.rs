//! libFuzzer's entry to the target `uri_headers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tandem_fuzz::targets::uri_headers(bytes));
