#![no_main]

afterimage_fuzz::target!(keyframe);
