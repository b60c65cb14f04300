#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| spice_testkit::oracles::decapsulate::decapsulate(data));
