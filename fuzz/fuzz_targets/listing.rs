#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| onlay_fuzz::listing(bytes));
