//! The order in which the pages are read, and which page answers which
//! question.

use crate::Both;

/// A group of pages in the table of contents.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// Its heading in English.
    pub en: &'static str,
    /// Its heading in Chinese, which is the tutorial's.
    pub zh: &'static str,
    /// The names of its pages in reading order.
    pub pages: &'static [&'static str],
}

impl Group {
    /// Its heading.
    pub fn title(&self) -> Both {
        Both::new(self.en, self.zh)
    }
}

/// The names of all pages, in the order of the contents.
pub fn listed() -> impl Iterator<Item = &'static str> {
    CONTENTS.iter().flat_map(|group| group.pages).copied()
}

/// All pages in reading order.
pub const CONTENTS: [Group; 5] = [
    Group {
        en: "Before you begin",
        zh: "开始之前",
        pages: &["start"],
    },
    Group {
        en: "Threads",
        zh: "多线程",
        pages: &[
            "thread",
            "lock",
            "thread_queue",
            "thread_pool",
            "thread_subclass",
        ],
    },
    Group {
        en: "Asynchronous programs",
        zh: "异步编程",
        pages: &["async_await", "tasks", "semaphore", "async_queue", "fetch"],
    },
    Group {
        en: "Processes",
        zh: "多进程",
        pages: &["process", "pool", "process_queue", "shared_memory"],
    },
    Group {
        en: "To look up",
        zh: "查阅",
        pages: &["when_a_process_dies", "names", "errors", "teaching"],
    },
];

/// What learners ask in public, and the page that answers. The number of a
/// question is its place here, counted from 1.
pub const QUESTIONS: [(&str, &str); 20] = [
    ("Why may my thread not use a local variable?", "thread"),
    ("Is `value += 1` atomic?", "shared_memory"),
    ("Why is `empty()` true after `put`?", "process_queue"),
    ("Why does `join` hang on a full queue?", "process_queue"),
    ("There is the GIL, so why a lock?", "lock"),
    ("What is Python's `global` in Rust?", "lock"),
    ("Why `Arc<Mutex<T>>` and not `Rc`?", "async_queue"),
    ("What is poisoning, and may I `unwrap` a lock?", "lock"),
    ("Why did nobody see my thread raise?", "thread"),
    ("What is the `Box<dyn Any>` of `join`?", "thread"),
    ("Why the main guard, and why `init`?", "process"),
    ("`fork`, `spawn` or `forkserver`?", "process"),
    ("Why can't a local function be pickled?", "pool"),
    ("Why does the pool hang after a kill?", "pool"),
    (
        "May there be one reader only, and how does its loop end?",
        "thread_queue",
    ),
    (
        "I called the async function; why did nothing happen?",
        "async_await",
    ),
    (
        "Which runtime, and what is \"no reactor running\"?",
        "async_await",
    ),
    ("May I block in async code?", "tasks"),
    ("std's `Mutex` or tokio's?", "tasks"),
    ("If one fails, what about the others?", "fetch"),
];
