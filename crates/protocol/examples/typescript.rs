//! Prints the TypeScript of the protocol.
#![allow(clippy::print_stdout)]

fn main() {
    print!("{}", roundtable_protocol::schema::typescript());
}
