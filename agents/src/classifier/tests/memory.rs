//! What probes draw from.

use super::*;

fn memory(capacity: u64) -> Memory {
    Memory::new(&spec(), capacity)
}

fn image(number: u8) -> [u8; 36] {
    [number; 36]
}

/// Number and label of all images, by number.
fn held(memory: &Memory) -> Vec<(u8, i64)> {
    let mut stream = Seeds::new(0).stream("probe");
    let drawn = memory.draw(memory.len(), &mut stream).expect("all");
    let images = Vec::<u8>::try_from(&drawn.s_tm1.reshape([-1])).expect("images");
    let labels = Vec::<i64>::try_from(&drawn.a_tm1).expect("labels");
    let mut held: Vec<_> = images.chunks_exact(36).map(|image| image[0]).zip(labels).collect();
    held.sort_unstable();
    held
}

#[test]
fn an_image_is_kept_once_with_its_last_label_until_newer_ones_take_its_place() {
    let mut memory = memory(3);
    for (number, label) in [(1, 0), (2, 5), (1, 4), (3, 2)] {
        memory.show(0, &image(number), label);
    }
    assert_eq!(held(&memory), [(1, 4), (2, 5), (3, 2)]);
    memory.show(0, &image(4), 9);
    memory.show(0, &image(2), 6);
    assert_eq!(held(&memory), [(2, 6), (3, 2), (4, 9)], "1 came first");
    memory.show(0, &image(1), 8);
    assert_eq!(held(&memory), [(1, 8), (3, 2), (4, 9)], "2 came after it");
    memory.show(1, &image(7), 7);
    assert_eq!(held(&memory), [(7, 7)], "another task");
}

#[test]
fn a_saved_memory_goes_on_as_it_was() {
    let mut saved = memory(3);
    (0..5).for_each(|number| saved.show(2, &image(number), u32::from(number)));
    let mut bytes = Vec::new();
    saved.save(&mut bytes).expect("bytes in memory");
    let mut loaded = memory(3);
    loaded.show(0, &image(99), 9);
    loaded.load(&mut bytes.as_slice()).expect("saved above");
    for memory in [&mut saved, &mut loaded] {
        memory.show(2, &image(4), 0);
        memory.show(2, &image(8), 8);
    }
    assert_eq!(held(&loaded), held(&saved));
    assert_eq!(held(&loaded), [(3, 3), (4, 0), (8, 8)]);
}

#[test]
fn what_cannot_be_taken_up_is_refused_and_leaves_nothing() {
    let mut saved = memory(3);
    (0..3).for_each(|number| saved.show(0, &image(number), 9));
    let mut bytes = Vec::new();
    saved.save(&mut bytes).expect("bytes in memory");
    let refused = |bytes: &[u8], capacity, expected: &str| {
        let mut memory = memory(capacity);
        let mut bytes = bytes;
        let message = memory.load(&mut bytes).expect_err("refused").to_string();
        assert!(message.contains(expected), "{message}");
        assert!(memory.is_empty());
    };
    refused(&bytes[..bytes.len() - 1], 3, "end too early");
    refused(&[&bytes[..], &[0]].concat(), 3, "after its end");
    refused(&[b"PLNTRPL1", &bytes[8..]].concat(), 3, "no memory of images");
    refused(&bytes, 4, "capacity is 3, expected 4");
    let mut label = bytes.clone();
    label[48] = 10;
    refused(&label, 3, "label 10, of 10 classes");
    let mut count = bytes;
    count[40..48].fill(255);
    refused(&count, 3, "it holds");
}
