//! Prints docs/fields.md.

fn main() {
    print!("{}", afterimage_detect::reference());
}
