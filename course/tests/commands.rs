//! What `cargo run -p course` does, and what it says when it cannot.

#![forbid(unsafe_code)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use std::{env, process};

use course::site::{self, File};

/// A folder of a test's own, which ends with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = env::temp_dir().join(format!("course-{name}-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let files = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A program that is killed at the end.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The course's program. It is killed after a minute.
fn course(arguments: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--foreground", "60", env!("CARGO_BIN_EXE_course")]);
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    course(arguments).output().unwrap()
}

/// What the program says when it fails.
fn failure(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn build_writes_the_pages_again_and_again() {
    let folder = Folder::new("build");
    let site = folder.join("site");
    for _ in 0..2 {
        let output = run(&["build", text(&site)]);
        assert!(output.status.success(), "{output:?}");
        for file in [
            "index.html",
            "en/shared_memory.html",
            "zh/shared_memory.html",
        ] {
            assert!(site.join(file).is_file(), "{file}");
        }
    }
    assert_eq!(folder.names(), ["site"], "nothing else is left");
}

#[test]
fn build_touches_no_folder_that_holds_something_else() {
    let folder = Folder::new("foreign");
    fs::write(folder.join("novel.txt"), "precious").unwrap();
    let said = failure(&run(&["build", text(&folder.0)]));
    assert!(said.contains("is not empty"), "{said}");
    assert!(said.contains("name another folder"), "{said}");
    assert_eq!(folder.names(), ["novel.txt"]);
}

#[test]
fn build_says_where_it_cannot_write() {
    let folder = Folder::new("unwritable");
    fs::write(folder.join("file"), "").unwrap();
    let below = folder.join("file/site");
    let said = failure(&run(&["build", text(&below)]));
    assert!(
        said.contains(&format!("cannot write the course to {}", below.display())),
        "{said}"
    );
    assert!(
        said.contains("name a folder that you may write to"),
        "{said}"
    );
}

#[test]
fn a_failed_build_leaves_the_last_good_one() {
    let folder = Folder::new("failed");
    let site = folder.join("site");
    let file = |path: &str, text: &str| File {
        path: path.to_string(),
        text: text.to_string(),
    };
    let good = [file(".course", ""), file("page", "good")];
    site::write(&good, &site).unwrap();
    // A file cannot be a folder as well.
    let bad = [file("page", "bad"), file("page/below", "bad")];
    site::write(&bad, &site).unwrap_err();
    assert_eq!(fs::read_to_string(site.join("page")).unwrap(), "good");
    assert_eq!(folder.names(), ["site"], "nothing else is left");
}

#[test]
fn an_unknown_page_is_told_with_those_that_are_there() {
    for command in ["accept", "record"] {
        let said = failure(&run(&[command, "shared_memry"]));
        assert!(said.contains("shared_memry"), "{said}");
        assert!(said.contains("shared_memory"), "{said}");
    }
}

#[test]
fn a_missing_python_is_named() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_course"));
    command
        .args(["record", "shared_memory"])
        .env("PATH", "/nonexistent");
    let said = failure(&command.output().unwrap());
    assert!(said.contains("python3"), "{said}");
}

#[test]
fn what_is_not_understood_is_answered_with_the_usage() {
    for arguments in [&["biuld"][..], &["--port", "many"], &["accept", "a", "b"]] {
        let said = failure(&run(arguments));
        assert!(said.contains(arguments[arguments.len() - 1]), "{said}");
    }
    assert!(failure(&run(&["biuld"])).contains("Usage: cargo run -p course"));
}

#[test]
fn a_port_that_is_taken_is_told_with_how_to_choose_another() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = failure(&run(&["--port", &port]));
    assert!(said.contains(&format!("cannot use port {port}")), "{said}");
    assert!(said.contains("-- --port"), "{said}");
}

#[test]
fn the_pages_are_served_until_ctrl_c() {
    let mut command = course(&["--port", "0"]);
    let mut server = Running(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let address = lines
        .find_map(|line| Some(line.unwrap().split_once("http://")?.1.to_string()))
        .unwrap();
    let address = address.split('/').next().unwrap();
    for (request, status, has) in [
        ("GET / HTTP/1.1", "200 OK", "zh/index.html"),
        (
            "GET /en/shared_memory.html?a#b HTTP/1.1",
            "200 OK",
            "<h1>Shared memory</h1>",
        ),
        ("GET /zh HTTP/1.1", "200 OK", "多进程"),
        ("HEAD /style.css HTTP/1.1", "200 OK", "text/css"),
        (
            "GET /en/nothing.html HTTP/1.1",
            "404 Not Found",
            "There is no such page",
        ),
        ("GET /../.cargo-lock HTTP/1.1", "404 Not Found", ""),
        ("GET //etc/passwd HTTP/1.1", "404 Not Found", ""),
        ("POST / HTTP/1.1", "404 Not Found", ""),
        ("nonsense", "404 Not Found", ""),
    ] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        write!(stream, "{request}\r\nHost: {address}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{request}: {answer}"
        );
        assert!(answer.contains(has), "{request}: {answer}");
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(request.starts_with("HEAD"), body.is_empty(), "{request}");
    }
    // `timeout` hands on what a terminal sends.
    let interrupt = Command::new("kill")
        .args(["-INT", &server.0.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    let status = server.0.wait().unwrap();
    assert!(
        status.signal() == Some(2) || status.code() == Some(130),
        "{status}"
    );
}
