#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| spice_testkit::oracles::prefaces::prefaces(data));
