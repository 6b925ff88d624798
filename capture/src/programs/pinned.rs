//! What outlives a recorder that is killed: pinned, and taken over by the next one.

use std::path::Path;

use afterimage_capture_abi::config::Live;
use aya::{
    maps::{Array, Map, MapData},
    programs::links::PinnedLink,
};

use super::{Link, LoadError, LoadOptions, Programs, TOLD, hooks, load_iterators};
use crate::{bpffs::Place, btf::Btf};

/// Maps that the next recorder needs: pinned beside the links.
const KEPT: [&str; 16] = [
    "DATA", "CONTROL", "SLOTS", "WRITTEN", "GIVEN", "COUNTERS", "LOSSES", TOLD, "POLICY", "LIVE", "SHARES",
    "MARKS", "MARKED", "PROGRAMS", "SPECS", "HANDLERS",
];

/// The recorder of what is pinned in a directory: 0 where it has ended; `None` where that cannot be told.
pub fn owner(place: &Path) -> Option<u32> {
    let map = Map::Array(MapData::from_pin(place.join("LIVE")).ok()?);
    let live: Array<_, Live> = Array::try_from(map).ok()?;
    live.get(&0, 0).ok().map(|live| live.own_tgid)
}

impl Programs {
    /// Takes over what an earlier recorder had pinned, with programs that were loaded with the same options and have run
    /// since: nothing is loaded but what looks at tasks.
    ///
    /// # Errors
    /// [`LoadError`]: it is not whole.
    pub fn take_over(btf: &Btf, options: &LoadOptions, place: &Place) -> Result<Self, LoadError> {
        let attached = hooks(btf);
        let mut links = Vec::new();
        for (name, _) in &attached {
            let link = PinnedLink::from_pin(place.link(name)).map_err(|_| LoadError::Missing { name })?;
            links.push((*name, Link::Pinned(link)));
        }
        let (mut ebpf, aya_btf) = options.open(btf, |loader| {
            for name in KEPT {
                // One that is missing would be made anew, and the programs would go on with theirs.
                let path = place.map(name);
                if !path.exists() {
                    return Err(LoadError::Missing { name });
                }
                loader.map_pin_path(name, path);
            }
            Ok(())
        })?;
        load_iterators(&mut ebpf, &aya_btf)?;
        let mut programs = Self { ebpf, attached, links };
        programs.own(options.own_tgid)?;
        // Somebody may have frozen them while nobody looked: they cannot be emptied any more then.
        programs.open_rings().map(drop)?;
        Ok(programs)
    }

    /// Pins the maps that the next recorder needs to go on; before any is taken.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn pin_maps(&self, place: &Place) -> Result<(), String> {
        place.make().map_err(|error| error.to_string())?;
        KEPT.into_iter().try_for_each(|name| self.pin_map(place, name))
    }

    /// Makes what is pinned one that nobody takes over: a map is missing, one that is not taken and can be pinned again.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn forgo(place: &Place) -> Result<(), String> {
        match std::fs::remove_file(place.map(TOLD)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.to_string()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The way back from [`Self::forgo`].
    ///
    /// # Errors
    /// Why not, in words.
    pub fn keep(&self, place: &Place) -> Result<(), String> {
        self.pin_map(place, TOLD)
    }

    fn pin_map(&self, place: &Place, name: &'static str) -> Result<(), String> {
        let map = self.ebpf.map(name).ok_or_else(|| LoadError::Missing { name }.to_string())?;
        map.pin(place.map(name)).map_err(|error| format!("{name}: {error}"))
    }

    /// Pins what keeps the programs on their hooks; after they were attached.
    ///
    /// # Errors
    /// Why not, in words: some are not pinned then, and all are on their hooks.
    pub fn pin_links(&mut self, place: &Place) -> Result<(), String> {
        let mut done = Ok(());
        for (name, link) in std::mem::take(&mut self.links) {
            let link = match link {
                Link::Own(link) if done.is_ok() => match link.pin(place.link(name)) {
                    Ok(link) => Link::Pinned(link),
                    Err(error) => {
                        done = Err(format!("{name}: {error}"));
                        // A link that could not be pinned is gone, and its program off its hook.
                        self.hook(name).map_err(|error| error.to_string())?
                    }
                },
                link => link,
            };
            self.links.push((name, link));
        }
        done
    }
}
