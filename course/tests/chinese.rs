//! The Chinese is written as Chinese: with Chinese punctuation, in the words of
//! the glossary, and without the turns of phrase that come from translating.

#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::fs;

use course::example::Example;
use course::page::Page;
use course::{Both, labels, lock, markdown, page, recordings};
use fancy_regex::Regex;

/// A pattern that Chinese prose does not have, and a text that has it. `Z` is
/// any Chinese character. Inline code is `C` in what is searched.
const PATTERNS: &[(&str, &str, &str)] = &[
    ("comma", r"Z ?[,;:!?]|[,;:!?]Z|Z\.(?=\s|$|Z)", "锁,线程"),
    ("paren", r"Z ?\(|\(Z|Z\)", "守卫(guard)"),
    ("quote", r#"[「」]|"Z|Z""#, "\"锁\""),
    ("tight", r"Z[A-Za-z0-9]|[A-Za-z0-9%]Z", "5个线程"),
    (
        "loose",
        r"[，。；：！？、（] (?=\S)|\S [，。；：！？、）]|Z Z",
        "锁 ，",
    ),
    (
        "dots",
        r"\.{3}|。。|，，|(?<!…)…(?!…)|(?<!—)—(?!—)",
        "等...",
    ),
    ("you", r"您|咱们", "您看"),
    ("we", r"(?<!让)我们", "我们来看"),
    ("exclamation", r"！", "完成！"),
    (
        "name",
        r"(?<![\w./:@-])(rust|python|tokio|linux)(?![\w./:-])",
        "用 rust 写",
    ),
    (
        "unit",
        r"百分之|％|\d %|\d(ms|s|[KM]i?B)(?![A-Za-z])",
        "100ms",
    ),
    (
        "de",
        r"的[^，。；：！？、\s]{1,9}的[^，。；：！？、\s]{1,9}的",
        "我的锁的守卫的",
    ),
    ("bei", r"被[^，。；：！？\n]{1,30}被", "被锁后被改"),
    (
        "dang",
        r"(?<!仅)当(?!且)[^，。；！？\n]{2,30}的时候",
        "当队列空的时候",
    ),
    ("dehua", r"如果[^，。；！？\n]{1,25}的话", "如果空的话"),
    (
        "jinxing",
        r"对[^，。；：！？\n]{1,15}进行|进行[^，。；：！？\n]{0,8}(操作|处理)",
        "对锁进行检查",
    ),
    ("men", r"(?<![我你他她它人])们", "线程们"),
    ("shide", r"使得|成为(不)?可能", "使得锁失效"),
    (
        "filler",
        r"(?<![能以有接会])让我们|注意的是|简而言之|换句话说|总的来说|众所周知|引擎盖",
        "让我们看",
    ),
    (
        "long",
        r"[^。！？；：\n]{81,}",
        "零一二三四五六七八九零一二三四五六七八九零一二三四五六七八九零一二三四五六七八九零一二三四五六七八九零一二三四五六七八九零一二三四五六七八九零一二三四五六七八九零",
    ),
    (
        "terms",
        "互斥器|毒化|竞争条件|许可证|信道|期约|反压|泄露|特质|特征约束|恐慌|涡轮鱼|工作区|枚举成员|封存|列表解析",
        "信道",
    ),
];

/// Words that stay English in Chinese prose.
const LATIN: &[&str] = &[
    "future",
    "Promise",
    "trait",
    "panic",
    "turbofish",
    "crate",
    "feature",
    "pickle",
    "Rust",
    "Python",
    "Tokio",
    "Cargo",
    "rustc",
    "Linux",
    "CPU",
    "I",
    "O",
    "API",
    "GIL",
    "PID",
    "HTTP",
    "HTTPS",
    "URL",
    "PEP",
    "C",
    "Java",
    "JavaScript",
    "KiB",
    "MiB",
    "GiB",
    "CI",
    "macOS",
    "Windows",
    "WSL",
    "PowerShell",
    "Debian",
    "aiohttp",
    "TLS",
];

/// Terms whose first use on a page is followed by the English word.
const FIRST: &[&str] = &[
    "互斥锁",
    "守卫",
    "中毒",
    "竞态条件",
    "数据竞争",
    "许可",
    "背压",
    "守护进程",
    "守护线程",
    "作用域线程",
    "全局解释器锁",
];

/// If the English says one, so does the Chinese.
const PAIRS: &[(&str, &str)] = &[
    ("deadlock", "死锁"),
    ("semaphore", "信号量"),
    ("closure", "闭包"),
    ("ownership", "所有权"),
    ("lifetime", "生命周期"),
    ("coroutine", "协程"),
    ("event loop", "事件循环"),
    ("context manager", "上下文管理器"),
    ("decorator", "装饰器"),
    ("atomic", "原子"),
    ("subclass", "子类"),
    ("interpreter", "解释器"),
    ("condition variable", "条件变量"),
    ("shared memory", "共享内存"),
    ("file descriptor", "文件描述符"),
];

fn pattern(pattern: &str) -> Regex {
    // Inside a class as outside, `Z` may be followed by anything.
    Regex::new(
        &pattern
            .replace('Z', r"[\u4e00-\u9fff]")
            .replace("A-[\\u4e00-\\u9fff]a-z", "A-Za-z"),
    )
    .unwrap()
}

/// All Chinese of the course, each with its English and its place. The titles
/// of the examples' pages are the tutorial's and stay as they are.
fn texts() -> Vec<(String, Both)> {
    let mut texts: Vec<(String, Both)> = Vec::new();
    for name in page::names().unwrap() {
        let page = Page::read(&name).unwrap();
        let skipped = usize::from(page.example.is_some());
        let located = lock::texts(&page).unwrap().into_iter().skip(skipped);
        texts.extend(located.map(|text| (text.at, text.says)));
    }
    for (en, zh) in labels::ALL {
        texts.push((format!("course/src/labels.rs: {en}"), Both::new(*en, *zh)));
    }
    for name in Example::names().unwrap() {
        let Some(recording) = recordings::of(&name).unwrap() else {
            continue;
        };
        let at = format!("course/recordings/{name}.txt");
        let counts = recording.counts.into_iter().map(|count| count.what);
        let captions = recording.timelines.into_iter().map(|it| it.caption);
        texts.extend(counts.chain(captions).map(|says| (at.clone(), says)));
    }
    texts.extend(readme());
    texts
}

/// The paragraphs of the Chinese README and the rows of its tables. The names
/// of files that are links count as code. The tutorial's title and its headings,
/// in the first column of the examples, are left out.
fn readme() -> Vec<(String, Both)> {
    let text = fs::read_to_string(course::root().join("README.zh-CN.md")).unwrap();
    let prose: String = text.split("```").step_by(2).collect();
    let prose = Regex::new("《[^》]*》")
        .unwrap()
        .replace_all(&prose, "《》");
    let file = Regex::new(r"\[[A-Za-z0-9_./ ]+\]\([^)]*\)").unwrap();
    let mut texts = Vec::new();
    for line in prose.lines().filter(|line| !line.starts_with("    ")) {
        let line = match line.split_once(".md) | [") {
            Some((_, row)) => format!("[{row}"),
            None => line.to_string(),
        };
        // A row alone is no table to the Markdown parser.
        for part in file.replace_all(&line, "`C`").split('|') {
            let part = part.trim().trim_start_matches('#').trim();
            texts.push((format!("README.zh-CN.md: {part}"), Both::new("", part)));
        }
    }
    texts
}

fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn each_pattern_finds_its_example() {
    for (name, searched, example) in PATTERNS {
        assert!(pattern(searched).is_match(*example).unwrap(), "{name}");
    }
}

#[test]
fn the_chinese_reads_as_chinese() {
    let mut wrong = Vec::new();
    for (name, searched, _) in PATTERNS {
        let regex = pattern(searched);
        for (at, says) in texts() {
            let prose = markdown::prose(&says.zh);
            if let Some(found) = regex.find(prose.as_str()).unwrap() {
                wrong.push(format!("{at}: {name}: {}", found.as_str()));
            }
        }
    }
    none(wrong);
}

#[test]
fn only_names_and_terms_of_the_glossary_are_latin() {
    let brackets = Regex::new("（[^）]*）|E[0-9]{4}").unwrap();
    let word = Regex::new("[A-Za-z]+").unwrap();
    let mut wrong = Vec::new();
    for (at, says) in texts() {
        let prose = markdown::prose(&says.zh);
        let prose = brackets.replace_all(&prose, "");
        for found in word.find_iter(&*prose) {
            let found = found.unwrap().as_str();
            if !LATIN.contains(&found) {
                wrong.push(format!("{at}: {found}"));
            }
        }
    }
    none(wrong);
}

#[test]
fn a_term_is_given_in_english_at_its_first_use_on_a_page() {
    let pages = page::names().unwrap().into_iter().map(|name| {
        let page = Page::read(&name).unwrap();
        let texts = lock::texts(&page).unwrap().into_iter();
        texts.map(|text| (text.at, text.says)).collect()
    });
    let mut wrong = Vec::new();
    for texts in pages.chain([readme()]) {
        let mut used = HashSet::new();
        for (at, says) in texts {
            let prose = markdown::prose(&says.zh);
            for term in FIRST {
                if let Some((_, after)) = prose.split_once(term)
                    && used.insert(term)
                    && !after
                        .strip_prefix('（')
                        .is_some_and(|it| it.starts_with(|c: char| c.is_ascii_alphabetic()))
                {
                    wrong.push(format!("{at}: write the English after {term}: {term}（…）"));
                }
            }
        }
    }
    none(wrong);
}

#[test]
fn a_term_in_the_english_has_its_chinese_word() {
    let mut wrong = Vec::new();
    for (at, says) in texts() {
        let en = markdown::prose(&says.en).to_lowercase();
        for (english, chinese) in PAIRS {
            if en.contains(english) && !says.zh.contains(chinese) {
                wrong.push(format!("{at}: {english} without {chinese}"));
            }
        }
    }
    none(wrong);
}
