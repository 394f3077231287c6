//! Sets the shared library's SONAME: the number is that of the ABI, raised only by a change that breaks programs.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libkarafka.so.0");
}
