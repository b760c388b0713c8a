//! What a commit carries.

/// A commit of `frames` frames of `bytes` bytes.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub name: char,
    pub frames: usize,
    pub bytes: usize,
}

const ALL: [Shape; 3] = [
    Shape {
        name: 'a',
        frames: 1,
        bytes: 4096,
    },
    Shape {
        name: 'b',
        frames: 8,
        bytes: 4096,
    },
    Shape {
        name: 'c',
        frames: 1,
        bytes: 128,
    },
];

/// The shape of that name.
pub fn named(name: char) -> Result<Shape, String> {
    ALL.into_iter()
        .find(|s| s.name == name)
        .ok_or_else(|| format!("--shapes: {name} is none of a, b, c"))
}

impl Shape {
    /// One thread's frames: bytes that do not compress, other ones per thread.
    pub fn frames_of(&self, thread: usize) -> Vec<Vec<u8>> {
        let mut state = 0x9E37_79B9_7F4A_7C15 ^ (thread as u64 + 1);
        let mut byte = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..self.frames)
            .map(|_| (0..self.bytes).map(|_| byte()).collect())
            .collect()
    }
}
