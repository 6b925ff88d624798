//! Tests of the whole TUI without a terminal: screens as pictures, keys as a user presses them, hostile traces.

mod bar;
mod bearings;
mod case;
mod counts;
mod damage;
mod hostile;
mod keys;
mod live;
mod moments;
mod mouse;
mod screens;
mod streams;
mod sweep;
mod text;
