//! The jump list: where the playhead was before it went far, and the way back and forth.
//!
//! Steps by rows and seconds and what plays leave no place behind; going to a finding, a mark, a moment or another
//! container does. As in vi, a new jump forgets what was gone back from.

use afterimage_format::ContainerUid;

use crate::tui::player::Playhead;

/// Places kept.
const MOST: usize = 100;

/// A moment of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) uid: ContainerUid,
    pub(crate) playhead: Playhead,
}

/// The places behind and, after going back, ahead.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    behind: Vec<Place>,
    ahead: Vec<Place>,
}

impl Trail {
    /// A place is left for one far from it.
    pub(crate) fn leave(&mut self, place: Place) {
        self.behind.retain(|old| *old != place);
        self.behind.push(place);
        self.ahead.clear();
        if self.behind.len() > MOST {
            self.behind.remove(0);
        }
    }

    /// The place before `here`.
    pub(crate) fn back(&mut self, here: Place) -> Option<Place> {
        Self::cross(&mut self.behind, &mut self.ahead, here)
    }

    /// The place that was gone back from.
    pub(crate) fn forward(&mut self, here: Place) -> Option<Place> {
        Self::cross(&mut self.ahead, &mut self.behind, here)
    }

    fn cross(from: &mut Vec<Place>, to: &mut Vec<Place>, here: Place) -> Option<Place> {
        while from.last() == Some(&here) {
            from.pop();
        }
        let place = from.pop()?;
        to.push(here);
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use afterimage_format::BootNanos;

    use super::*;

    fn place(time: u64) -> Place {
        Place { uid: ContainerUid(1), playhead: Playhead::at_time(BootNanos(time)) }
    }

    #[test]
    fn back_and_forth_and_a_new_jump_forgets_what_was_ahead() {
        let mut trail = Trail::default();
        trail.leave(place(1));
        trail.leave(place(2));
        assert_eq!(trail.back(place(3)), Some(place(2)));
        assert_eq!(trail.back(place(2)), Some(place(1)));
        assert_eq!(trail.back(place(1)), None);
        assert_eq!(trail.forward(place(1)), Some(place(2)));
        assert_eq!(trail.forward(place(2)), Some(place(3)));
        assert_eq!(trail.forward(place(3)), None);
        trail.back(place(3));
        trail.leave(place(2));
        assert_eq!(trail.forward(place(9)), None);
    }

    #[test]
    fn a_place_is_kept_once_and_not_more_than_so_many() {
        let mut trail = Trail::default();
        for time in 0..1_000 {
            trail.leave(place(time));
            trail.leave(place(7));
        }
        assert_eq!(trail.back(place(7)), Some(place(999)), "the place that one is at is not gone back to");
        let mut left = 1;
        while trail.back(place(5_000)).is_some() {
            left += 1;
        }
        assert!(left < MOST, "{left}");
    }
}
