#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| epochwal_fuzz::abi_spool_options::run(data));
