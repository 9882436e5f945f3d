//! Two maps of a kind, of which the kernel side writes to one at a time.

use aya::{
    Ebpf,
    maps::{HashMap as AyaHashMap, Map, MapData, MapError, PerCpuHashMap, PerCpuValues},
};

use super::read::ReadError;

/// Which of the two is written to is said by `GENERATION` of the kernel side, even or odd.
pub(super) struct Pair<M> {
    maps: [M; 2],
    name: &'static str,
}

impl<M: TryFrom<Map, Error = MapError>> Pair<M> {
    /// The maps of this name, with an ending each.
    pub(super) fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Self, String> {
        let mut map = |ending: &str| -> Result<M, String> {
            let name = format!("{name}_{ending}");
            let map = ebpf.take_map(&name);
            let map = map.ok_or_else(|| format!("it has no map {name}"))?;
            map.try_into().map_err(|error: MapError| error.to_string())
        };
        Ok(Self {
            maps: [map("EVEN")?, map("ODD")?],
            name,
        })
    }
}

impl<M> Pair<M> {
    const fn of(&mut self, generation: u32) -> &mut M {
        &mut self.maps[(generation & 1) as usize]
    }
}

/// What is in both, and the emptying of one that nothing writes to any more.
pub(super) trait Entries<K, V> {
    /// All entries: a key may come twice.
    fn entries(&self) -> impl Iterator<Item = Result<(K, V), ReadError>>;

    /// Hands out every entry of a generation that is over, each once it is gone from there. Where that fails
    /// what is left stays, to be tried again.
    fn empty(&mut self, generation: u32, take: impl FnMut(K, V)) -> Result<(), ReadError>;
}

impl<K: aya::Pod, V: aya::Pod> Entries<K, PerCpuValues<V>> for Pair<PerCpuHashMap<MapData, K, V>> {
    fn entries(&self) -> impl Iterator<Item = Result<(K, PerCpuValues<V>), ReadError>> {
        let entries = self.maps.iter().flat_map(PerCpuHashMap::iter);
        entries.map(|read| read.map_err(ReadError::of_map(self.name)))
    }

    fn empty(
        &mut self,
        generation: u32,
        mut take: impl FnMut(K, PerCpuValues<V>),
    ) -> Result<(), ReadError> {
        let failed = ReadError::of_map(self.name);
        let map = self.of(generation);
        for key in map.keys().collect::<Result<Vec<K>, _>>().map_err(&failed)? {
            let value = map.get(&key, 0).map_err(&failed)?;
            map.remove(&key).map_err(&failed)?;
            take(key, value);
        }
        Ok(())
    }
}

impl<K: aya::Pod, V: aya::Pod> Entries<K, V> for Pair<AyaHashMap<MapData, K, V>> {
    fn entries(&self) -> impl Iterator<Item = Result<(K, V), ReadError>> {
        let entries = self.maps.iter().flat_map(AyaHashMap::iter);
        entries.map(|read| read.map_err(ReadError::of_map(self.name)))
    }

    fn empty(&mut self, generation: u32, mut take: impl FnMut(K, V)) -> Result<(), ReadError> {
        let failed = ReadError::of_map(self.name);
        let map = self.of(generation);
        for key in map.keys().collect::<Result<Vec<K>, _>>().map_err(&failed)? {
            let value = map.get(&key, 0).map_err(&failed)?;
            map.remove(&key).map_err(&failed)?;
            take(key, value);
        }
        Ok(())
    }
}
