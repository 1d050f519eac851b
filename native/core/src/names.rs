//! The table of interned channel names, read from memory that JavaScript wrote.

/// Bytes of the table's head, and of each slot.
const ENTRY_BYTES: usize = 16;

/// Channel names by their bytes, in the layout of `ts/codec/names.ts`.
///
/// All numbers are little-endian u32. Head: slot count (a power of two), number of names, offset of the names' bytes, 0. Each slot: FNV-1a
/// hash of the name, its id + 1 (0 for an empty slot), offset and length of its bytes. Slots are probed linearly from the hash. Names are
/// valid UTF-8. Memory that does not look like this is an empty table or one in which names are not found.
#[derive(Clone, Copy)]
pub struct NameTable<'a> {
    memory: &'a [u8],
    slots: &'a [[u8; ENTRY_BYTES]],
}

impl<'a> NameTable<'a> {
    /// A table over `memory`; empty memory is a table without names.
    #[must_use]
    pub fn new(memory: &'a [u8]) -> Self {
        Self { memory, slots: slots(memory).unwrap_or_default() }
    }

    /// The id of a name, if the table has it.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<u32> {
        let mask = self.slots.len().checked_sub(1)?;
        let hash = fnv1a(name);
        let first = hash as usize & mask;
        for slot in self.slots[first..].iter().chain(&self.slots[..first]) {
            let [slot_hash, id, offset, length] = numbers(slot);
            let id = id.checked_sub(1)?;
            if slot_hash == hash && length as usize == name.len() {
                let offset = offset as usize;
                if self.memory.get(offset..offset + name.len()) == Some(name) {
                    return Some(id);
                }
            }
        }
        None
    }
}

fn slots(memory: &[u8]) -> Option<&[[u8; ENTRY_BYTES]]> {
    let (head, rest) = memory.split_first_chunk()?;
    let [count, ..] = numbers(head);
    if !count.is_power_of_two() {
        return None;
    }
    rest.as_chunks().0.get(..count as usize)
}

fn numbers(entry: &[u8; ENTRY_BYTES]) -> [u32; 4] {
    let (words, _) = entry.as_chunks::<4>();
    std::array::from_fn(|index| u32::from_le_bytes(words[index]))
}

/// FNV-1a, 32 bits.
#[must_use]
pub fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(slots: u32, names: &[&str]) -> Vec<u8> {
        let arena = ENTRY_BYTES * (1 + slots as usize);
        let mut memory = vec![0; arena];
        let words = |memory: &mut Vec<u8>, at: usize, values: [u32; 4]| {
            for (index, value) in values.into_iter().enumerate() {
                memory[at + 4 * index..][..4].copy_from_slice(&value.to_le_bytes());
            }
        };
        words(&mut memory, 0, [slots, u32::try_from(names.len()).unwrap(), u32::try_from(arena).unwrap(), 0]);
        for (id, name) in (1..).zip(names) {
            let mut slot = fnv1a(name.as_bytes()) & (slots - 1);
            while memory[ENTRY_BYTES * (1 + slot as usize) + 4..][..4] != [0; 4] {
                slot = (slot + 1) & (slots - 1);
            }
            let offset = u32::try_from(memory.len()).unwrap();
            let values = [fnv1a(name.as_bytes()), id, offset, u32::try_from(name.len()).unwrap()];
            words(&mut memory, ENTRY_BYTES * (1 + slot as usize), values);
            memory.extend_from_slice(name.as_bytes());
        }
        memory
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv1a(b""), 0x811c_9dc5);
        assert_eq!(fnv1a(b"a"), 0xe40c_292c);
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn every_name_is_found_by_its_bytes_even_in_a_full_table() {
        let names = ["orders", "", "payments", "é", "a", "b", "c", "d"];
        for slots in [8, 16, 64] {
            let memory = table(slots, &names);
            let table = NameTable::new(&memory);
            for (id, name) in (0..).zip(names) {
                assert_eq!(table.find(name.as_bytes()), Some(id), "{name}");
            }
            assert_eq!(table.find(b"orders "), None);
        }
    }

    #[test]
    fn memory_that_is_no_table_finds_nothing() {
        let good = table(8, &["orders"]);
        for end in 0..good.len() {
            assert_eq!(NameTable::new(&good[..end]).find(b"orders"), None, "cut at {end}");
        }
        for byte in 0..=255 {
            assert_eq!(NameTable::new(&vec![byte; 4096]).find(b"orders"), None);
        }
        let mut full_of_strangers = good.clone();
        for slot in full_of_strangers[ENTRY_BYTES..ENTRY_BYTES * 9].as_chunks_mut::<ENTRY_BYTES>().0 {
            slot.fill(0xff);
        }
        assert_eq!(NameTable::new(&full_of_strangers).find(b"orders"), None);
    }
}
