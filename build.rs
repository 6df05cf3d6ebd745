//! Tells cargo that the page is part of the binary: files that appear there are embedded by the next build.

fn main() {
    println!("cargo:rerun-if-changed=web/app/dist");
}
