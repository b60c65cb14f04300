#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| spice_testkit::oracles::tls::tls_records(data));
