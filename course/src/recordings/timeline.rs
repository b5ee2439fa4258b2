//! Draws a recording: a lane for each process, thread or task, in both
//! programs, on one time axis. What a lane is called is read from the lines.
//!
//! All is drawn in the colour of the text around it, so that it can be read on
//! any background, and what a mark means is said by its shape.

use std::fmt::{Display, Write};
use std::time::Duration;

use super::Timeline;
use super::file::{Event, Note, Recording, Runs};
use crate::{Both, Language};

/// The width of a picture. It is scaled to the page.
const WIDTH: f64 = 360.0;
/// Where the lanes begin and end: left of them are their names.
const LEFT: f64 = 76.0;
const RIGHT: f64 = WIDTH - 12.0;
/// The height of a lane: a label above a mark.
const LANE: f64 = 30.0;
/// The height of a line of text.
const TEXT: f64 = 18.0;

/// A process, thread or task.
#[derive(Debug)]
struct Lane {
    name: Both,
    marks: Vec<Mark>,
    bars: Vec<(Duration, Duration)>,
}

/// Something that happened.
#[derive(Clone, Debug)]
struct Mark {
    time: Duration,
    shape: Shape,
    /// Whether a bar begins here, or ends.
    bar: Bar,
    /// What stands above it.
    label: Both,
    /// What it means, in a sentence.
    meaning: Both,
}

/// What a mark is to the bar of its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bar {
    Begins,
    Ends,
    Neither,
}

/// What a mark looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// A filled circle: a line was printed.
    Line,
    /// A triangle: a worker was given something.
    Taken,
    /// An empty circle.
    Read,
    /// A filled square.
    Write,
    /// A cross.
    Lost,
    /// Only an end of a bar.
    Edge,
}

/// What the time is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zero {
    /// The start of the program.
    Start,
    /// The first line: it comes after a start that takes far longer than all
    /// that is to be seen.
    FirstLine,
    /// The first thing that a recorder saw.
    FirstNote,
}

/// The picture of a page, or `None` if nothing is recorded of its workers.
pub fn draw(page: &str, recording: &Recording) -> Option<Timeline> {
    let zero = match page {
        "process" | "process_queue" | "thread" | "thread_subclass" | "thread_queue" => {
            Zero::FirstLine
        }
        "pool" | "shared_memory" | "thread_pool" => Zero::FirstNote,
        "async_await" | "async_queue" | "fetch" | "semaphore" | "tasks" => Zero::Start,
        _ => return None,
    };
    let programs = [
        ("Python", &recording.in_python),
        ("Rust", &recording.in_rust),
    ];
    let charts = programs.map(|(program, runs)| {
        let lanes = lanes(page, runs, zero);
        (program, lanes, start(runs, zero))
    });
    let in_language = |language| svg(page, &charts, zero, language);
    Some(Timeline {
        svg: Both::new(in_language(Language::En), in_language(Language::Zh)),
        caption: caption(page, recording, zero),
    })
}

/// How long after its start a program printed its first line.
fn first_line(runs: &Runs) -> Duration {
    runs.lines.first().map_or(Duration::ZERO, |(time, _)| *time)
}

/// The time that is drawn as zero.
fn start(runs: &Runs, zero: Zero) -> Duration {
    match zero {
        Zero::FirstLine => first_line(runs),
        Zero::Start | Zero::FirstNote => Duration::ZERO,
    }
}

/// A lane's name. `main` stays as it is in the programs. What runs the function
/// `worker`, or is a worker of a pool, has another word in Chinese on each page.
fn name(page: &str, english: &str) -> Both {
    let chinese = match english.split_once(' ') {
        Some(("task", number)) => format!("任务 {number}"),
        Some(("thread", number)) => format!("线程 {number}"),
        Some(("worker", number)) => {
            let worker = match page {
                "pool" => "工作进程",
                "process" | "shared_memory" => "子进程",
                "thread_pool" => "工作线程",
                "thread" => "线程",
                _ => "任务",
            };
            format!("{worker} {number}")
        }
        _ => match english {
            "producer" => "生产者".to_string(),
            "consumer" => "消费者".to_string(),
            other => other.to_string(),
        },
    };
    Both::new(english, chinese)
}

/// A number, which is the same in both languages.
fn same(number: impl Display) -> Both {
    Both::new(number.to_string(), number.to_string())
}

/// Who printed a line.
fn printer(line: &str) -> String {
    let mut words = line.split(' ');
    match (words.next(), words.next().map(str::parse::<u32>)) {
        (Some("Worker"), Some(Ok(number))) => format!("worker {number}"),
        (Some("Thread"), Some(Ok(number))) => format!("thread {number}"),
        (Some("Produced"), _) => "producer".to_string(),
        (Some("Consumed"), _) => "consumer".to_string(),
        _ => "main".to_string(),
    }
}

/// The lanes of a run, `main` first and then in the order of their names.
fn lanes(page: &str, runs: &Runs, zero: Zero) -> Vec<Lane> {
    let mut marks: Vec<(String, Mark)> = Vec::new();
    if zero != Zero::FirstNote {
        for (place, (time, line)) in runs.lines.iter().enumerate() {
            let number = place + 1;
            let mark = Mark {
                time: *time,
                shape: Shape::Line,
                bar: match line {
                    _ if line.ends_with(" is starting") => Bar::Begins,
                    _ if line.ends_with(" is finished") => Bar::Ends,
                    _ => Bar::Neither,
                },
                label: same(number),
                meaning: Both::new(
                    format!("line {number} of the output: {line}"),
                    format!("输出的第 {number} 行：{line}"),
                ),
            };
            marks.push((printer(line), mark));
        }
    }
    marks.extend(noted(runs));

    let mut names: Vec<_> = marks.iter().map(|(lane, _)| lane.clone()).collect();
    names.sort_by_key(|name| match name.as_str() {
        "main" => (0, String::new()),
        "producer" => (1, String::new()),
        other => (2, other.to_string()),
    });
    names.dedup();
    let lane = |lane: String| {
        let of_lane = marks.iter().filter(|(name, _)| *name == lane);
        let marks: Vec<_> = of_lane.map(|(_, mark)| mark.clone()).collect();
        let mut bars = Vec::new();
        let mut begun = None;
        for mark in &marks {
            match (mark.bar, begun) {
                (Bar::Begins, _) => begun = Some(mark.time),
                (Bar::Ends, Some(begin)) => bars.push((begin, mark.time)),
                _ => {}
            }
        }
        Lane {
            name: name(page, &lane),
            marks,
            bars,
        }
    };
    names.into_iter().map(lane).collect()
}

/// What the recorder of a run saw, with the lanes in which it happened.
fn noted(runs: &Runs) -> Vec<(String, Mark)> {
    let Some(noted) = &runs.noted else {
        return Vec::new();
    };
    let lost = lost(runs);
    let mark = |(place, note): (usize, &Note)| {
        let (shape, bar, label, meaning) = match note.event {
            Event::Reads(value) => (
                Shape::Read,
                Bar::Begins,
                same(value),
                Both::new(format!("reads {value}"), format!("读到 {value}")),
            ),
            Event::Writes(value) if lost.contains(&place) => (
                Shape::Lost,
                Bar::Ends,
                Both::new(format!("{value} lost"), format!("{value} 丢失")),
                Both::new(
                    format!("writes {value}, a lost update"),
                    format!("写入 {value}，丢失更新"),
                ),
            ),
            Event::Writes(value) => (
                Shape::Write,
                Bar::Ends,
                same(value),
                Both::new(format!("writes {value}"), format!("写入 {value}")),
            ),
            Event::Takes(value) => (
                Shape::Taken,
                Bar::Begins,
                same(value),
                Both::new(format!("is given {value}"), format!("取得 {value}")),
            ),
            Event::Returns(value) => (
                Shape::Edge,
                Bar::Ends,
                Both::default(),
                Both::new(format!("returns {value}"), format!("返回 {value}")),
            ),
            Event::Asks => (
                Shape::Edge,
                Bar::Begins,
                Both::default(),
                Both::new("asks for its page", "发出请求"),
            ),
            Event::IsAnswered => (
                Shape::Edge,
                Bar::Ends,
                Both::default(),
                Both::new("is answered", "收到回答"),
            ),
        };
        let mark = Mark {
            time: note.time,
            shape,
            bar,
            label,
            meaning,
        };
        (note.lane.clone(), mark)
    };
    noted.notes.iter().enumerate().map(mark).collect()
}

/// The places of the notes that tell of a write that is lost, because another
/// process has read before it and writes after it. Who adds 0 loses nothing.
fn lost(runs: &Runs) -> Vec<usize> {
    let notes = runs.noted.as_ref().map_or(&[][..], |noted| &noted.notes);
    let mut lost = Vec::new();
    for (write, note) in notes.iter().enumerate() {
        let Event::Writes(_) = note.event else {
            continue;
        };
        let of_lane = |(_, other): &(usize, &Note)| other.lane == note.lane;
        let Some((read, _)) = notes[..write].iter().enumerate().rev().find(of_lane) else {
            continue;
        };
        for (place, other) in notes.iter().enumerate().take(write).skip(read + 1) {
            if let Event::Writes(_) = other.event
                && other.lane != "worker 0"
            {
                lost.push(place);
            }
        }
    }
    lost
}

fn caption(page: &str, recording: &Recording, zero: Zero) -> Both {
    let (python, rust) = (&recording.in_python, &recording.in_rust);
    if zero == Zero::FirstNote {
        return noted_caption(page, python, rust);
    }
    let mut caption = Both::new(
        "The programs printed to a terminal, and a line is drawn at the time when it came there. \
         Lines that came together have the same time.",
        "程序输出到终端，每一行画在到达终端的时刻；同时到达的行，时刻相同。",
    );
    if zero == Zero::FirstLine {
        let [python, rust] = [python, rust].map(|runs| short(first_line(runs)));
        caption.en += &format!(
            " Time is counted from the first line, which came {python} ms after the start in \
             Python and {rust} ms after it in Rust."
        );
        caption.zh += &format!(
            "时间从第一行算起：启动后，Python 过了 {python} 毫秒输出第一行，Rust 过了 {rust} 毫秒。"
        );
    }
    if page == "fetch" {
        caption.en += " The pages came from a server on the same machine, which answers `/0` \
            after 300 ms, `/1` after 200 ms and `/2` after 100 ms. A bar lasts from the arrival of \
            a request at the server to its answer.";
        caption.zh += "网页来自本机上的服务器：`/0` 过 300 毫秒才回答，`/1` 过 200 毫秒，`/2` 过 100 \
            毫秒。横条从请求到达服务器开始，到服务器回答为止。";
    }
    caption
}

/// How a picture was made that a recorder was needed for.
fn noted_caption(page: &str, python: &Runs, rust: &Runs) -> Both {
    let noted = |runs: &Runs| runs.noted.as_ref().map_or((0, 0), |n| (n.found, n.runs));
    let (in_python, python_runs) = noted(python);
    let (in_rust, rust_runs) = noted(rust);
    if page != "shared_memory" {
        let worker = match page {
            "thread_pool" => "工作线程",
            _ => "工作进程",
        };
        return Both::new(
            format!(
                "A recorder stood in for the pool and noted when a worker was given a number and \
                 when it returned. The programs themselves ran unchanged. Workers that were given \
                 no number are not drawn. In {in_python} of {python_runs} runs of the Python and \
                 in {in_rust} of {rust_runs} runs of the Rust, one worker did all five numbers."
            ),
            format!(
                "记录器顶替了池，记下{worker}何时取得数字、何时返回结果，程序本身没有改动。没有取得数字的{worker}不画。\
                 Python 的 {python_runs} 次运行中有 {in_python} 次、Rust 的 {rust_runs} 次运行中有 \
                 {in_rust} 次，五个数字都由同一个{worker}处理。"
            ),
        );
    }
    let plain = |runs: &Runs| runs.found.map_or(0, |(_, times)| times);
    let (python_plain, rust_plain) = (plain(python), plain(rust));
    let (python_count, rust_count) = (python.count, rust.count);
    let mut caption = Both::new(
        format!(
            "A recorder stood in for `Value` and noted each access to the shared number while its \
             lock was held. The programs themselves ran unchanged. Recording makes a loss \
             likelier: with the recorder, {in_python} of {python_runs} runs of the Python lost an \
             update, without it {python_plain} of {python_count}. Of the Rust, {in_rust} of \
             {rust_runs} runs with it and {rust_plain} of {rust_count} without it lost one. The \
             accesses to the array are not drawn."
        ),
        format!(
            "记录器顶替了 `Value`，在持有锁时记下对共享数字的每次读写，程序本身没有改动。\
             记录本身会让丢失更常见：带着记录器，Python 的 {python_runs} 次运行中有 {in_python} \
             次丢失更新，不带时 {python_count} 次中有 {python_plain} 次。Rust 带着记录器时 \
             {rust_runs} 次中有 {in_rust} 次，不带时 {rust_count} 次中有 {rust_plain} 次。\
             对数组的读写没有画。"
        ),
    );
    if in_python > 0 {
        caption.en += " The run of the Python that is drawn is one of those that lost an update, \
            and not the one whose output is shown on this page.";
        caption.zh += "画出的 Python 运行丢失了更新，和本页显示输出的那次不是同一次。";
    }
    caption
}

/// Milliseconds with one decimal.
fn short(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

type Chart = (&'static str, Vec<Lane>, Duration);

/// A time axis: from zero to its last mark.
struct Axis {
    span: f64,
    unit: f64,
    step: f64,
    unit_name: Both,
}

impl Axis {
    fn of(charts: &[Chart]) -> Axis {
        let last = |(_, lanes, start): &Chart| {
            let marks = lanes.iter().flat_map(|lane| &lane.marks);
            marks.map(|mark| mark.time - *start).max()
        };
        let span = charts.iter().filter_map(last).max().unwrap_or_default();
        let span = span.as_secs_f64().max(1e-6);
        let (unit, unit_name) = match span {
            ..2e-3 => (1e-6, Both::new("µs", "微秒")),
            2e-3..2.0 => (1e-3, Both::new("ms", "毫秒")),
            _ => (1.0, Both::new("s", "秒")),
        };
        // Three to seven ticks, at round numbers.
        let rough = span / unit / 3.0;
        let power = 10_f64.powf(rough.log10().floor());
        let digit = [5.0, 2.0, 1.0]
            .into_iter()
            .find(|digit| digit * power <= rough);
        Axis {
            span,
            unit,
            step: digit.unwrap_or(1.0) * power,
            unit_name,
        }
    }

    fn x(&self, time: Duration) -> f64 {
        LEFT + time.as_secs_f64() / self.span * (RIGHT - LEFT)
    }

    /// The places of the ticks, with their numbers.
    fn ticks(&self) -> impl Iterator<Item = (f64, f64)> {
        let count = (self.span / self.unit / self.step + 1e-9).floor() as u32;
        (0..=count).map(|tick| {
            let number = f64::from(tick) * self.step;
            let x = LEFT + number * self.unit / self.span * (RIGHT - LEFT);
            (x, number)
        })
    }

    /// A time in words.
    fn say(&self, time: Duration, language: Language) -> String {
        let number = time.as_secs_f64() / self.unit;
        let unit = self.unit_name.in_language(language);
        let decimals = if number < 100.0 { 1 } else { 0 };
        format!("{number:.decimals$} {unit}")
    }
}

fn svg(page: &str, charts: &[Chart; 2], zero: Zero, language: Language) -> String {
    let axis = Axis::of(charts);
    let mut body = String::new();
    let mut description = Vec::new();
    let mut y = 0.0;
    for (program, lanes, start) in charts {
        y += TEXT;
        body += &text(0.0, y - 4.0, "start", "program", program);
        let top = y;
        let bottom = y + LANE * lanes.len() as f64;
        for (x, _) in axis.ticks() {
            body += &line((x, top), (x, bottom), "grid", 0.2);
        }
        for lane in lanes {
            y += LANE;
            body += &draw_lane(lane, *start, y - 9.0, &axis, program, language);
            description.push(describe(program, lane, *start, &axis, language));
        }
        y += 6.0;
    }
    y += 8.0;
    for (x, number) in axis.ticks() {
        let decimals = if axis.step < 1.0 { 1 } else { 0 };
        body += &text(x, y, "middle", "tick", &format!("{number:.decimals$}"));
    }
    y += TEXT;
    body += &text(RIGHT, y, "end", "axis", &axis_title(zero, &axis, language));
    body += &legend(charts, &mut y, language);
    let (title, description) = match language {
        Language::En => (
            format!("Timeline of {page} in Python and in Rust"),
            description.join(" "),
        ),
        Language::Zh => (
            format!("{page} 的运行时间线：Python 与 Rust"),
            description.concat(),
        ),
    };
    let height = y + 8.0;
    let id = format!("timeline-{page}");
    format!(
        "<svg class=\"timeline\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\" aria-labelledby=\"{id}-title {id}-desc\" fill=\"currentColor\" \
         stroke=\"none\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title id=\"{id}-title\">{}</title>\n<desc id=\"{id}-desc\">{}</desc>\n{body}</svg>\n",
        escape(&title),
        escape(&description)
    )
}

fn axis_title(zero: Zero, axis: &Axis, language: Language) -> String {
    let unit = axis.unit_name.in_language(language);
    match (language, zero) {
        (Language::En, Zero::Start) => format!("time since the start, {unit}"),
        (Language::En, Zero::FirstLine) => format!("time since the first line, {unit}"),
        (Language::En, Zero::FirstNote) => format!("time since the first mark, {unit}"),
        (Language::Zh, Zero::Start) => format!("从启动算起的时间（{unit}）"),
        (Language::Zh, Zero::FirstLine) => format!("从第一行算起的时间（{unit}）"),
        (Language::Zh, Zero::FirstNote) => format!("从第一个标记算起的时间（{unit}）"),
    }
}

/// What the marks mean, each in a line.
fn legend(charts: &[Chart; 2], y: &mut f64, language: Language) -> String {
    let lanes = || charts.iter().flat_map(|(_, lanes, _)| lanes);
    let has = |shape| {
        lanes()
            .flat_map(|lane| &lane.marks)
            .any(|mark| mark.shape == shape)
    };
    let meanings = [
        (
            Shape::Line,
            Both::new(
                "a line of the output, with its number",
                "一行输出，数字表示第几行",
            ),
        ),
        (
            Shape::Taken,
            Both::new("is given this number", "取得这个数字"),
        ),
        (Shape::Read, Both::new("reads this number", "读到这个数字")),
        (
            Shape::Write,
            Both::new("writes this number", "写入这个数字"),
        ),
        (
            Shape::Lost,
            Both::new(
                "lost update: what it writes is overwritten",
                "丢失更新：写入的值被覆盖了",
            ),
        ),
    ];
    let mut body = String::new();
    for (shape, meaning) in meanings {
        if has(shape) {
            *y += TEXT;
            body += &draw_shape(shape, 8.0, *y - 4.0);
            body += &text(20.0, *y, "start", "legend", meaning.in_language(language));
        }
    }
    if lanes().any(|lane| !lane.bars.is_empty()) {
        let bars = if has(Shape::Read) {
            vec![
                (true, Both::new("the lock is held (Rust)", "持有锁（Rust）")),
                (
                    false,
                    Both::new(
                        "between read and write, no lock (Python)",
                        "读与写之间，没有锁（Python）",
                    ),
                ),
            ]
        } else {
            vec![(true, Both::new("from start to end", "从开始到结束"))]
        };
        for (solid, meaning) in bars {
            *y += TEXT;
            body += &draw_bar(2.0, 16.0, *y - 4.0, solid);
            body += &text(20.0, *y, "start", "legend", meaning.in_language(language));
        }
    }
    body
}

fn draw_lane(
    lane: &Lane,
    start: Duration,
    y: f64,
    axis: &Axis,
    program: &str,
    language: Language,
) -> String {
    let mut body = text(
        0.0,
        y + 4.0,
        "start",
        "lane",
        lane.name.in_language(language),
    );
    body += &line((LEFT, y), (RIGHT, y), "track", 0.3);
    // In Python each access has a lock of its own.
    let accesses = lane.marks.iter().any(|mark| mark.shape == Shape::Read);
    let solid = program == "Rust" || !accesses;
    for (from, to) in &lane.bars {
        body += &draw_bar(axis.x(*from - start), axis.x(*to - start), y, solid);
    }
    let places = label_places(lane, start, axis, language);
    for (mark, label_x) in lane.marks.iter().zip(places) {
        let x = axis.x(mark.time - start);
        let label = mark.label.in_language(language);
        let meaning = mark.meaning.in_language(language);
        let time = axis.say(mark.time - start, language);
        let tip = match language {
            Language::En => format!("{time}: {meaning}"),
            Language::Zh => format!("{time}：{meaning}"),
        };
        let _ = write!(body, "<g><title>{}</title>", escape(&tip));
        if (label_x - x).abs() > 4.0 {
            body += &line((x, y - 4.0), (label_x, y - 8.0), "leader", 0.5);
        }
        body += &draw_shape(mark.shape, x, y);
        if !label.is_empty() {
            body += &text(label_x, y - 9.0, "middle", "label", label);
        }
        body += "</g>\n";
    }
    body
}

/// How wide a text is, about.
fn width(text: &str) -> f64 {
    text.chars()
        .map(|c| if c.is_ascii() { 6.5 } else { 12.0 })
        .sum()
}

/// Where the labels of a lane stand: above their marks, but moved aside where
/// two would overlap. A mark without a label takes no room.
fn label_places(lane: &Lane, start: Duration, axis: &Axis, language: Language) -> Vec<f64> {
    let half = |mark: &Mark| match mark.label.in_language(language) {
        "" => None,
        label => Some(width(label) / 2.0 + 2.5),
    };
    let mut places: Vec<f64> = Vec::new();
    let mut free = LEFT - 6.0;
    for mark in &lane.marks {
        let mut place = axis.x(mark.time - start);
        if let Some(half) = half(mark) {
            place = place.max(free + half);
            free = place + half;
        }
        places.push(place);
    }
    let mut free = WIDTH;
    for (place, mark) in places.iter_mut().zip(&lane.marks).rev() {
        if let Some(half) = half(mark) {
            *place = place.min(free - half);
            free = *place - half;
        }
    }
    places
}

fn draw_shape(shape: Shape, x: f64, y: f64) -> String {
    match shape {
        Shape::Line => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>\n"),
        Shape::Taken => format!("<path d=\"M{:.1} {:.1}l8 4l-8 4z\"/>\n", x - 4.0, y - 4.0),
        Shape::Read => format!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"none\" stroke=\"currentColor\" \
             stroke-width=\"1.5\"/>\n"
        ),
        Shape::Write => format!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"7\" height=\"7\"/>\n",
            x - 3.5,
            y - 3.5
        ),
        Shape::Lost => format!(
            "<path d=\"M{:.1} {:.1}l9 9m0 -9l-9 9\" fill=\"none\" stroke=\"currentColor\" \
             stroke-width=\"2.5\"/>\n",
            x - 4.5,
            y - 4.5
        ),
        Shape::Edge => format!(
            "<path d=\"M{x:.1} {:.1}v10\" stroke=\"currentColor\" stroke-width=\"1.5\"/>\n",
            y - 5.0
        ),
    }
}

/// A bar, or, if it is not solid, a broken line.
fn draw_bar(from: f64, to: f64, y: f64, solid: bool) -> String {
    let (width, dashes, opacity) = if solid {
        (7.0, "", 0.35)
    } else {
        (2.0, " stroke-dasharray=\"4 3\"", 0.8)
    };
    format!(
        "<path d=\"M{from:.1} {y:.1}H{to:.1}\" stroke=\"currentColor\" stroke-width=\"{width}\" \
         opacity=\"{opacity}\"{dashes}/>\n"
    )
}

fn line(from: (f64, f64), to: (f64, f64), class: &str, opacity: f64) -> String {
    format!(
        "<path class=\"{class}\" d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"currentColor\" \
         opacity=\"{opacity}\"/>\n",
        from.0, from.1, to.0, to.1
    )
}

fn text(x: f64, y: f64, anchor: &str, class: &str, text: &str) -> String {
    let weight = if class == "program" {
        " font-weight=\"bold\""
    } else {
        ""
    };
    format!(
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{weight}>{}</text>\n",
        escape(text)
    )
}

/// A lane in words.
fn describe(
    program: &str,
    lane: &Lane,
    start: Duration,
    axis: &Axis,
    language: Language,
) -> String {
    let name = lane.name.in_language(language);
    let mark = |mark: &Mark| {
        let time = axis.say(mark.time - start, language);
        let meaning = mark.meaning.in_language(language);
        match language {
            Language::En => format!("at {time}, {meaning}"),
            Language::Zh => format!("{time}，{meaning}"),
        }
    };
    let marks: Vec<_> = lane.marks.iter().map(mark).collect();
    match language {
        Language::En => format!("{program}, {name}: {}.", marks.join("; ")),
        Language::Zh => format!("{program}，{name}：{}。", marks.join("；")),
    }
}

/// A text as XML.
fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}
