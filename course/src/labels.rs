//! The words of the site that belong to no page.

use crate::Language;

macro_rules! labels {
    ($($name:ident: $en:literal, $zh:literal;)*) => {
        /// The site's own words in one language.
        #[derive(Debug)]
        #[allow(missing_docs, reason = "the English says what each is")]
        pub struct Labels { $(pub $name: &'static str,)* }

        const EN: Labels = Labels { $($name: $en,)* };
        const ZH: Labels = Labels { $($name: $zh,)* };

        /// Each label in English and in Chinese.
        pub const ALL: &[(&str, &str)] = &[$(($en, $zh),)*];
    };
}

impl Labels {
    /// The labels in `language`.
    pub fn in_language(language: Language) -> &'static Labels {
        match language {
            Language::En => &EN,
            Language::Zh => &ZH,
        }
    }
}

labels! {
    course: "Python’s concurrency in Rust", "用 Rust 写 Python 的并发";
    about: "Fourteen Python programs and the same programs in Rust, side by side. Everything that these pages show was compiled and run.",
        "十四个 Python 程序，以及同样的 Rust 程序，一一对照。页面上的代码都编译过，输出都来自真实运行。";
    language_name: "English", "中文";
    search: "Search", "搜索";
    no_results: "No results", "没有找到";
    contents: "Contents", "目录";
    previous: "Previous", "上一页";
    next: "Next", "下一页";
    home: "Home", "首页";
    skip: "Skip to content", "跳到正文";
    language: "Language", "语言";
    theme: "Theme", "主题";
    light: "Light", "浅色";
    dark: "Dark", "深色";
    system: "System", "跟随系统";
    copy: "Copy", "复制";
    copied: "Copied", "已复制";
    show_answer: "Show answer", "查看答案";
    twenty_minutes: "About 20 minutes", "约 20 分钟";
    read_first: "Read first", "先读";
    new_here: "New on this page", "本页新内容";
    on_this_page: "On this page", "本页目录";
    recorded_on: "Recorded on", "记录于";
    cores: "processor cores", "个处理器核";
    program: "Program", "程序";
    what_happened: "What happened", "结果";
    how_often: "How often", "次数";
    shown_by: "Shown by the test", "由测试证明：";
    error: "Error", "报错";
    meaning: "What it means", "含义";
    program_says: "What the running program says", "程序运行时的报错";
    refused: "The compiler refuses this", "编译不通过";
    rustc_says: "What rustc says", "rustc 的报错";
    had_it_compiled: "Had it compiled", "假如能编译";
    compiles_and_is_wrong: "This compiles and is wrong", "能编译，但结果不对";
    never_ends: "The program never ends.", "程序不会结束。";
    it_prints: "What it prints", "输出";
    exercise: "The exercise", "练习";
    teachers_open: "Open the notes for teachers", "展开教学提示";
    in_rust: "In Rust", "在 Rust 中";
}

/// `times` of `runs` runs.
pub fn of_runs(times: usize, runs: usize, language: Language) -> String {
    match language {
        Language::En => format!("{times} of {runs} runs"),
        Language::Zh => format!("{runs} 次运行中有 {times} 次"),
    }
}

/// The line `number`.
pub fn line(number: usize, language: Language) -> String {
    match language {
        Language::En => format!("Line {number}"),
        Language::Zh => format!("第 {number} 行"),
    }
}
