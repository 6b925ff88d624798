//! `socketcall`, by which 32-bit programs make every socket call: its first argument says which, the second where the
//! arguments of that are. It is recorded as the call that it makes, so that nobody who looks for a connection has to know
//! of it.

/// Its number in the i386 table.
pub const NR: u32 = 102;
/// The lowest number of the calls that it makes.
const LOWEST: u32 = 337;

/// By `SYS_*` less one: the number of the call that it makes, and how many arguments the kernel takes for it. What has no
/// number of its own (`accept`, `send`, `recv`) is the one that has, without its last arguments.
const CALLS: [(u32, u32); 20] = [
    (359, 3), // socket
    (361, 3), // bind
    (362, 3), // connect
    (363, 2), // listen
    (364, 3), // accept
    (367, 3), // getsockname
    (368, 3), // getpeername
    (360, 4), // socketpair
    (369, 4), // send
    (371, 4), // recv
    (369, 6), // sendto
    (371, 6), // recvfrom
    (373, 2), // shutdown
    (366, 5), // setsockopt
    (365, 5), // getsockopt
    (370, 3), // sendmsg
    (372, 3), // recvmsg
    (364, 4), // accept4
    (337, 5), // recvmmsg
    (345, 4), // sendmmsg
];

/// Bits of an entry: the number above the lowest, and how many arguments.
const NUMBER: u32 = 6;
const COUNT: u32 = 3;
/// Entries in a word.
const EACH: u32 = 64 / (NUMBER + COUNT);

/// The table in words: what a program looks up in memory, older verifiers want bounds of.
const fn packed(word: u32) -> u64 {
    let mut bits = 0;
    let mut place = 0;
    while place < EACH {
        let index = (word * EACH + place) as usize;
        if index < CALLS.len() {
            let (nr, count) = CALLS[index];
            let entry = (nr - LOWEST) as u64 | (count as u64) << NUMBER;
            bits |= entry << (place * (NUMBER + COUNT));
        }
        place += 1;
    }
    bits
}

const FIRST: u64 = packed(0);
const SECOND: u64 = packed(1);
const THIRD: u64 = packed(2);
const _: () = assert!(CALLS.len() as u32 <= 3 * EACH);

/// The call that it makes and how many arguments that has; `None` where it makes none.
#[inline(always)]
pub fn made(which: u32) -> Option<(u32, u32)> {
    let index = which.wrapping_sub(1);
    if index >= CALLS.len() as u32 {
        return None;
    }
    let (word, place) = if index < EACH {
        (FIRST, index)
    } else if index < 2 * EACH {
        (SECOND, index - EACH)
    } else {
        (THIRD, index - 2 * EACH)
    };
    let entry = (word >> (place * (NUMBER + COUNT))) as u32;
    Some((LOWEST + (entry & ((1 << NUMBER) - 1)), entry >> NUMBER & ((1 << COUNT) - 1)))
}
