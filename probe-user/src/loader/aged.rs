//! Maps whose keys end with the generation in which an entry was made.

use aya::{
    Ebpf, Pod,
    maps::{HashMap as AyaHashMap, Map, MapData, MapError, PerCpuHashMap, PerCpuValues},
};

use super::read::ReadError;

/// A map whose keys are of N bytes, the last four of which are the generation.
pub(super) struct Aged<M> {
    map: M,
    name: &'static str,
}

impl<M: TryFrom<Map, Error = MapError>> Aged<M> {
    pub(super) fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Self, String> {
        let map = ebpf.take_map(name);
        let map = map.ok_or_else(|| format!("it has no map {name}"))?;
        let map = map
            .try_into()
            .map_err(|error: MapError| error.to_string())?;
        Ok(Self { map, name })
    }
}

impl<M> Aged<M> {
    /// All entries, their keys without the generation: one may come twice.
    pub(super) fn entries<const N: usize, V>(
        &self,
    ) -> impl Iterator<Item = Result<([u8; N], V), ReadError>>
    where
        M: Entries<N, V>,
    {
        let failed = ReadError::of_map(self.name);
        let entries = self.map.all();
        entries.map(move |read| {
            let (key, value) = read.map_err(&failed)?;
            Ok((split(key).0, value))
        })
    }

    /// Hands out every entry of a generation that is over, each once it is gone from there. Where that fails
    /// what is left stays, to be tried again.
    pub(super) fn empty<const N: usize, V>(
        &mut self,
        generation: u32,
        mut take: impl FnMut([u8; N], V),
    ) -> Result<(), ReadError>
    where
        M: Entries<N, V>,
    {
        let failed = ReadError::of_map(self.name);
        let keys = self.map.names().map_err(&failed)?;
        for key in keys {
            let (name, of) = split(key);
            if of == generation {
                let value = self.map.value(&key).map_err(&failed)?;
                self.map.leave(&key).map_err(&failed)?;
                take(name, value);
            }
        }
        Ok(())
    }
}

/// The key as it is everywhere else, and its generation.
fn split<const N: usize>(mut key: [u8; N]) -> ([u8; N], u32) {
    let generation = key
        .last_chunk_mut::<4>()
        .map_or(0, |bytes| u32::from_ne_bytes(std::mem::take(bytes)));
    (key, generation)
}

/// What both kinds of maps can do.
pub(super) trait Entries<const N: usize, V> {
    fn all(&self) -> impl Iterator<Item = Result<([u8; N], V), MapError>>;
    fn names(&self) -> Result<Vec<[u8; N]>, MapError>;
    fn value(&self, key: &[u8; N]) -> Result<V, MapError>;
    fn leave(&mut self, key: &[u8; N]) -> Result<(), MapError>;
}

impl<const N: usize, V: Pod> Entries<N, PerCpuValues<V>> for PerCpuHashMap<MapData, [u8; N], V> {
    fn all(&self) -> impl Iterator<Item = Result<([u8; N], PerCpuValues<V>), MapError>> {
        self.iter()
    }

    fn names(&self) -> Result<Vec<[u8; N]>, MapError> {
        self.keys().collect()
    }

    fn value(&self, key: &[u8; N]) -> Result<PerCpuValues<V>, MapError> {
        self.get(key, 0)
    }

    fn leave(&mut self, key: &[u8; N]) -> Result<(), MapError> {
        self.remove(key)
    }
}

impl<const N: usize, V: Pod> Entries<N, V> for AyaHashMap<MapData, [u8; N], V> {
    fn all(&self) -> impl Iterator<Item = Result<([u8; N], V), MapError>> {
        self.iter()
    }

    fn names(&self) -> Result<Vec<[u8; N]>, MapError> {
        self.keys().collect()
    }

    fn value(&self, key: &[u8; N]) -> Result<V, MapError> {
        self.get(key, 0)
    }

    fn leave(&mut self, key: &[u8; N]) -> Result<(), MapError> {
        self.remove(key)
    }
}

#[cfg(test)]
mod tests {
    use probe_common::{CountKey, StatKey, SumKey};
    use zerocopy::transmute;

    use super::*;

    #[test]
    fn each_key_ends_with_its_generation() {
        let key = SumKey {
            netns: 7,
            generation: 3,
        };
        let raw: [u8; 8] = transmute!(key);
        let (name, generation) = split(raw);
        let name: SumKey = transmute!(name);
        assert_eq!((name.netns, name.generation, generation), (7, 0, 3));
        let at_the_end = |offset: usize, size: usize| assert_eq!(offset + 4, size);
        at_the_end(
            std::mem::offset_of!(SumKey, generation),
            size_of::<SumKey>(),
        );
        at_the_end(
            std::mem::offset_of!(StatKey, generation),
            size_of::<StatKey>(),
        );
        at_the_end(
            std::mem::offset_of!(CountKey, generation),
            size_of::<CountKey>(),
        );
    }
}
