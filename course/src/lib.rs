//! The course: a page for each example, in English and in Chinese.
