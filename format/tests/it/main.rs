//! Tests of the store through its public interface.

mod crash;
mod damage;
mod generate;
mod pages;
mod refuse;
mod retention;
mod round_trip;
mod verify;
