//! Every page in a real browser, headless Chromium: in both languages, on a
//! telephone and on a desk.
//!
//! One browser loads all pages. It is spoken to in the DevTools protocol, over
//! its standard input and output, and one page is open at a time. Where there
//! is no Chromium the tests are skipped, but fail if `CI=true`.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use course::{Language, page, serve, site};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use serde_json::{Value, json};

/// How long the browser may take for an answer, on a machine that does much
/// else.
const LIMIT: Duration = Duration::from_secs(60);

/// The widths of a telephone and of a desk.
const WIDTHS: [u32; 2] = [360, 1280];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let mut tests = Vec::new();
    for width in WIDTHS {
        for language in Language::ALL {
            tests.push(test(
                &format!("at {width} px all fits, in {}", language.code()),
                move |browser| all_fits(browser, language, width),
            ));
        }
    }
    for language in Language::ALL {
        let code = language.code();
        tests.push(test(
            &format!("a reader without sight finds the way, in {code}"),
            move |browser| landmarks(browser, language),
        ));
        tests.push(test(
            &format!("all can be read without scripts, in {code}"),
            move |browser| without_scripts(browser, language),
        ));
        tests.push(test(
            &format!("the search finds English and Chinese words, in {code}"),
            move |browser| search(browser, language),
        ));
        tests.push(test(
            &format!("the language switch keeps the place, from {code}"),
            move |browser| language_switch(browser, language),
        ));
    }
    tests.push(test("a theme is kept", theme));
    let conclusion = libtest_mimic::run(&arguments, tests);
    let browser = BROWSER
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    drop(browser);
    conclusion.exit_code()
}

/// The browser of all tests, once one of them needs it.
static BROWSER: Mutex<Option<Browser>> = Mutex::new(None);

/// The names that Chromium has on different systems.
static CHROMIUM: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let folders = env::split_paths(&env::var_os("PATH")?).collect::<Vec<_>>();
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| path.is_file())
});

fn test(name: &str, test: impl FnOnce(&mut Browser) + Send + 'static) -> Trial {
    Trial::ignorable_test(name, move || {
        if CHROMIUM.is_none() {
            let missing = "there is no chromium";
            return match env::var("CI") {
                Ok(ci) if ci == "true" => Err(Failed::from(missing)),
                _ => Ok(Completion::ignored_with(missing)),
            };
        }
        // A test that failed leaves a browser that the others can still use.
        let mut browser = BROWSER.lock().unwrap_or_else(PoisonError::into_inner);
        test(browser.get_or_insert_with(Browser::start));
        Ok(Completion::Completed)
    })
}

/// A browser with one page, and the server of the course.
struct Browser {
    process: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    session: String,
    number: u64,
    /// What the page has written to the console as errors.
    errors: Vec<String>,
    address: String,
    folder: PathBuf,
}

impl Browser {
    fn start() -> Browser {
        let folder = env::temp_dir().join(format!("course-browser-{}", std::process::id()));
        let pages = folder.join("site");
        fs::create_dir_all(&folder).unwrap();
        site::write(&site::build().unwrap(), &pages).unwrap();
        let listener = serve::listen(0).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || serve::serve(&listener, &pages));

        // Chromium reads commands from file 3 and answers to file 4.
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 >/dev/null 2>&1", "sh"])
            .arg(CHROMIUM.as_ref().unwrap())
            .args(["--headless", "--remote-debugging-pipe", "--disable-gpu"])
            // In a container there may be no sandbox. Only our own pages load.
            .args(["--no-sandbox", "--disable-dev-shm-usage", "--no-first-run"])
            .arg(format!(
                "--user-data-dir={}",
                folder.join("profile").display()
            ))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while output
                .read_until(0, &mut message)
                .is_ok_and(|length| length > 0)
            {
                message.pop();
                let message = std::mem::take(&mut message);
                if sender
                    .send(serde_json::from_slice(&message).unwrap())
                    .is_err()
                {
                    return;
                }
            }
        });
        let mut browser = Browser {
            process,
            input,
            messages,
            session: String::new(),
            number: 0,
            errors: Vec::new(),
            address,
            folder,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attached = browser.call(
            "Target.attachToTarget",
            json!({"targetId": target["targetId"], "flatten": true}),
        );
        browser.session = attached["sessionId"].as_str().unwrap().to_string();
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Sends a command and waits for its answer.
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let number = self.number;
        let mut command = json!({"id": number, "method": method, "params": parameters});
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        write!(self.input, "{command}\0").unwrap();
        let answer = self.wait(method, |message| message["id"] == number);
        assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        answer["result"].clone()
    }

    /// Waits for a message. Errors on the console are noted meanwhile.
    fn wait(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let message = self
                .messages
                .recv_timeout(left)
                .unwrap_or_else(|error| panic!("waiting for {what}: {error}"));
            let parameters = &message["params"];
            let error = match message["method"].as_str() {
                Some("Runtime.exceptionThrown") => true,
                Some("Runtime.consoleAPICalled") => {
                    parameters["type"] == "error" || parameters["type"] == "warning"
                }
                Some("Log.entryAdded") => parameters["entry"]["level"] == "error",
                _ => false,
            };
            if error {
                self.errors.push(parameters.to_string());
            }
            if is_it(&message) {
                return message;
            }
        }
    }

    fn width(&mut self, width: u32) {
        let metrics =
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Loads a page of the course, such as `en/lock.html`.
    fn open(&mut self, path: &str) {
        let (page, anchor) = path.split_once('#').unwrap_or((path, ""));
        // With a number, even another place of the same page is loaded anew.
        let url = format!("{}/{page}?{}#{anchor}", self.address, self.number);
        self.call("Page.navigate", json!({"url": url}));
        self.loaded();
    }

    fn loaded(&mut self) {
        self.wait("a page to load", |message| {
            message["method"] == "Page.loadEventFired"
        });
    }

    /// What `script` returns, once its promise is fulfilled if it is one.
    fn run(&mut self, script: &str) -> Value {
        let parameters = json!({
            "expression": format!("(async () => {{ {script} }})()"),
            "awaitPromise": true,
            "returnByValue": true,
        });
        let answer = self.call("Runtime.evaluate", parameters);
        assert!(answer["exceptionDetails"].is_null(), "{script}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Fails with what is in the list that `script` returns.
    fn none(&mut self, path: &str, script: &str) {
        let found = self.run(script);
        assert_eq!(found, json!([]), "{path}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // What the browser started ends with it, and may still write.
        let end = Instant::now() + Duration::from_secs(5);
        while fs::remove_dir_all(&self.folder).is_err() && Instant::now() < end {
            thread::yield_now();
        }
    }
}

/// The pages in `language`, with the table of contents.
fn paths(language: Language) -> Vec<String> {
    let mut names = page::names().unwrap();
    names.push("index".to_string());
    let path = |name: &String| format!("{}/{name}.html", language.code());
    names.iter().map(path).collect()
}

/// With all that is folded unfolded, nothing is wider than the window, and on
/// a desk no code needs to be scrolled. What rustc says may be wider.
fn all_fits(browser: &mut Browser, language: Language, width: u32) {
    browser.width(width);
    for path in paths(language) {
        browser.errors.clear();
        browser.open(&path);
        browser.none(
            &path,
            r#"
            for (const details of document.querySelectorAll("main details")) details.open = true;
            await document.fonts.ready;
            const wide = [];
            if (document.documentElement.scrollWidth > innerWidth) {
                for (const each of document.querySelectorAll("body *")) {
                    const scrolls = each.parentElement.closest("pre, .table, .drawing");
                    if (!scrolls && each.getBoundingClientRect().right > innerWidth + 1) {
                        wide.push(each.outerHTML.slice(0, 200));
                    }
                }
                wide.push("the page is " + document.documentElement.scrollWidth + " px wide");
            }
            if (innerWidth >= 1280) {
                for (const code of document.querySelectorAll("pre:not(.message)")) {
                    if (code.scrollWidth > code.clientWidth) wide.push(code.textContent);
                }
            }
            return wide;
            "#,
        );
        assert!(browser.errors.is_empty(), "{path}: {:?}", browser.errors);
    }
}

/// A page has one `main`, one `h1`, no heading that skips a level, a name for
/// each drawing and each control, and no id twice.
fn landmarks(browser: &mut Browser, language: Language) {
    browser.width(1280);
    for path in paths(language) {
        browser.open(&path);
        browser.none(
            &path,
            r#"
            const wrong = [];
            for (const one of ["main", "h1", "header.bar", "a.skip"]) {
                const found = document.querySelectorAll(one).length;
                if (found !== 1) wrong.push(found + " of " + one);
            }
            let level = 1;
            for (const heading of document.querySelectorAll("main :is(h1, h2, h3, h4)")) {
                const next = Number(heading.tagName[1]);
                if (next > level + 1) wrong.push("after h" + level + " comes " + heading.outerHTML);
                level = next;
            }
            for (const drawing of document.querySelectorAll("main svg")) {
                const named = drawing.querySelector("title")?.textContent.trim();
                const described = drawing.querySelector("desc")?.textContent.trim();
                if (!named || !described) wrong.push("a drawing without title or description");
            }
            for (const control of document.querySelectorAll("input, select")) {
                if (!control.ariaLabel && !control.labels.length) wrong.push(control.outerHTML);
            }
            for (const code of document.querySelectorAll("pre:is(.py, .rs):not(.output)")) {
                if (code.tabIndex === 0 && !code.ariaLabel) wrong.push("which language is " + code.textContent);
            }
            const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
            wrong.push(...ids.filter((id, at) => ids.indexOf(id) !== at));
            return wrong;
            "#,
        );
        let tag = browser.run("return document.documentElement.lang;");
        assert_eq!(tag.as_str().unwrap()[..2], *language.code(), "{path}");
    }
}

/// Without scripts a page has the same text and the same links, and no control
/// that does nothing.
fn without_scripts(browser: &mut Browser, language: Language) {
    let text = r#"
        for (const details of document.querySelectorAll("main details")) details.open = true;
        for (const button of document.querySelectorAll("button")) button.remove();
        return document.querySelector("main").innerText;
    "#;
    browser.width(1280);
    for path in paths(language) {
        browser.open(&path);
        let with = browser.run(text);
        browser.call(
            "Emulation.setScriptExecutionDisabled",
            json!({"value": true}),
        );
        browser.open(&path);
        let without = browser.run(text);
        let shown = browser.run(
            r#"
            const controls = [...document.querySelectorAll(".needs-script, button")];
            return controls.filter((each) => each.checkVisibility()).length;
            "#,
        );
        browser.call(
            "Emulation.setScriptExecutionDisabled",
            json!({"value": false}),
        );
        assert_eq!(with, without, "{path}");
        assert!(with.as_str().unwrap().len() > 100, "{path}");
        assert_eq!(shown, 0, "{path}");
    }
}

/// Words in either language are found from either, and lead to where they are.
fn search(browser: &mut Browser, language: Language) {
    let code = language.code();
    let mut found = BTreeSet::new();
    for width in WIDTHS {
        browser.width(width);
        browser.open(&format!("{code}/index.html"));
        for (words, finds) in [
            ("lost update", true),
            ("丢失更新", true),
            ("SHARED_memory", true),
            ("加锁 释放", true),
            ("zebra", false),
            ("斑马", false),
        ] {
            let answer = browser.run(&format!(
                r#"
                const input = document.getElementById("search");
                const changed = new Promise((resolve) => {{
                    new MutationObserver(resolve).observe(results, {{ childList: true }});
                }});
                input.focus();
                input.value = "{words}";
                input.dispatchEvent(new Event("input"));
                await changed;
                const box = results.getBoundingClientRect();
                const inside = box.left >= 0 && box.right <= innerWidth;
                const links = [...results.querySelectorAll("a")];
                return [inside, links.map((link) => link.getAttribute("href"))];
                "#
            ));
            assert_eq!(answer[0], true, "the results are cut off at {width} px");
            let links = answer[1].as_array().unwrap();
            assert_eq!(!links.is_empty(), finds, "{words}");
            found.extend(links.first().and_then(Value::as_str).map(String::from));
        }
    }
    for link in found {
        browser.open(&format!("{code}/{link}"));
        browser.none(
            &link,
            "return location.hash && !document.querySelector(location.hash) ? [location.hash] : [];",
        );
    }
}

/// The switch leads to the text that is at the top of the window.
fn language_switch(browser: &mut Browser, language: Language) {
    let other = language.other().code();
    let mut kept = 0;
    browser.width(1280);
    for path in paths(language) {
        let name = path.split_once('/').unwrap().1;
        browser.open(&path);
        let place = browser.run(
            r#"
            const texts = [...document.querySelectorAll("main .text[id]")].filter((each) => each.checkVisibility());
            const text = texts[Math.floor(texts.length / 2)];
            if (!text) return "";
            text.scrollIntoView({ behavior: "instant" });
            const bar = document.querySelector(".bar").getBoundingClientRect().bottom;
            const top = text.getBoundingClientRect().top;
            if (top < bar - 1) return "hidden by the bar";
            // A short page cannot be scrolled so far.
            return top < bar + 40 ? text.id : "";
            "#,
        );
        let place = place.as_str().unwrap().to_string();
        // The page is left while the script runs, which then has no answer.
        browser.call(
            "Runtime.evaluate",
            json!({"expression": "setTimeout(() => document.querySelector('.switch').click())"}),
        );
        browser.loaded();
        let there = browser.run(
            r#"
            const target = location.hash && document.getElementById(location.hash.slice(1));
            const top = target ? target.getBoundingClientRect().top : 0;
            return [location.pathname, location.hash, 0 <= top && top < innerHeight];
            "#,
        );
        assert_eq!(there[0], format!("/{other}/{name}"));
        if !place.is_empty() {
            assert_eq!(there[1], format!("#{place}"), "{path}");
            kept += 1;
        }
        assert_eq!(there[2], true, "{path}: {place} is not in the window");
    }
    assert!(kept > 0);
}

/// A chosen theme changes the colours, and holds on the next page.
fn theme(browser: &mut Browser) {
    browser.width(1280);
    browser.open("en/index.html");
    let colour = "return getComputedStyle(document.body).backgroundColor;";
    let choose = |theme: &str| {
        format!(
            r#"
            const theme = document.getElementById("theme");
            theme.value = "{theme}";
            theme.dispatchEvent(new Event("change"));
            "#
        )
    };
    browser.run(&choose("light"));
    let light = browser.run(colour);
    browser.run(&choose("dark"));
    let dark = browser.run(colour);
    assert_ne!(light, dark);
    browser.open("zh/index.html");
    assert_eq!(browser.run(colour), dark);
    browser.run(&choose(""));
}
