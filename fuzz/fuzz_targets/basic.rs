#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| beneath_fuzz_targets::basic(data));
