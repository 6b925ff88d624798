//! Tests of the store through its public interface.

mod catalog;
mod crash;
mod damage;
mod disk_full;
mod generate;
mod golden;
mod hostile;
mod keyframes;
mod merge;
mod model;
mod pages;
#[cfg(target_os = "linux")]
mod power;
mod refuse;
mod retention;
mod round_trip;
mod verify;
