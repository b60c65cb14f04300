#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| spice_testkit::oracles::qmp_client::qmp_client_conversation(data));
