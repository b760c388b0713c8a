//! Link arguments of the shared library, and nothing else: the committed
//! header is never written from here.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // The SONAME's number changes only with an incompatible ABI.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libepochwal.so.0");
    // A thread that outlives a dlclose would run destructors of thread-local
    // state in unmapped code; `nodelete` keeps the code mapped.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
