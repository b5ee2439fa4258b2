//! Limits of the system, and environment variables that make a program look like
//! a child.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{self, Command, Output, Stdio};
use std::time::Duration;
use std::{env, fs};

use nix::libc;
use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::stat::fstat;
use nix::unistd::{Gid, Uid, getegid, geteuid, getgid, getuid, setegid, seteuid, setresuid};
use shared::multiprocessing::{self, Array, Error, Pool, Process, Queue, Value, pipe};

use crate::harness::{MARK, descriptors, itself, shared_memory, skip, within};
use crate::queue::address_space;

pub const TESTS: &[(&str, fn())] = named![
    no_descriptors_left_is_an_error_that_names_it,
    too_few_descriptors_in_a_child_is_an_error_that_names_it,
    fork_refused_is_an_error_that_names_it,
    a_file_size_limit_is_an_error_that_names_it,
    mmap_refused_is_an_error_that_names_it,
    mmap_refused_in_a_child_is_an_error_that_names_it,
    a_result_that_cannot_be_sent_is_an_error_that_names_it,
    a_child_variable_without_a_socket_is_rejected,
    a_child_variable_with_a_foreign_socket_is_rejected,
    a_child_variable_with_the_socket_of_another_user_is_rejected,
    a_child_variable_with_the_socket_of_another_program_is_rejected,
    a_child_variable_needs_the_socket_of_the_parent_that_it_names,
    a_child_variable_that_names_another_parent_is_ignored,
    children_start_under_another_effective_user,
    children_of_a_set_user_id_program_have_its_effective_user,
    a_child_of_a_deleted_program_starts,
    without_proc_or_dev_null_the_error_names_it,
    every_object_costs_what_the_guide_says,
];

const LONG: Duration = Duration::from_secs(30);

pub const PROGRAMS: &[(&str, fn())] = named![
    runs,
    starts_with_a_child_variable,
    has_less_memory_than_its_parent,
    compares_users,
    deletes_itself,
    starts_without_files,
];

/// Runs `act` with one soft limit lowered.
fn limited<R>(resource: Resource, limit: u64, act: impl FnOnce() -> R) -> R {
    let (soft, hard) = getrlimit(resource).unwrap();
    setrlimit(resource, limit, hard).unwrap();
    let result = act();
    setrlimit(resource, soft, hard).unwrap();
    result
}

fn square(n: i64) -> i64 {
    n * n
}

/// A name, and a function that needs resources of the system.
type Maker = (&'static str, fn() -> Result<(), Error>);

const MEMORY: &[Maker] = &[
    ("Value", || Value::new(1).map(drop)),
    ("Array", || Array::new([1, 2]).map(drop)),
    ("Queue", || Queue::<u8>::new().map(drop)),
    ("bounded Queue", || Queue::<u8>::with_maxsize(1).map(drop)),
];

const PIPE: Maker = ("pipe", || pipe::<(), ()>().map(drop));

const PROCESS: Maker = ("Process", || {
    let child = Process::new(square, (3,)).start()?;
    child.join().map(|nine| assert_eq!(nine, 9))
});

const POOL: Maker = ("Pool", || {
    let pool = Pool::new(2)?;
    pool.map(square, [1, 2])
        .map(|results| assert_eq!(results, [1, 4]))
});

/// The answer of the system that caused an error.
fn refusal(error: &Error) -> Option<&io::Error> {
    match error {
        Error::WorkerStart(cause) => refusal(cause),
        Error::System { call, source } => {
            assert!(
                !call.is_empty() && error.to_string().contains(call),
                "{error}"
            );
            Some(source)
        }
        _ => None,
    }
}

/// Objects that must go on working while new ones are refused.
struct Existing {
    queue: Queue<Vec<u8>>,
    value: Value<i64>,
    pool: Pool,
}

impl Existing {
    fn new() -> Self {
        let pool = Pool::new(1).unwrap();
        Existing {
            queue: Queue::new().unwrap(),
            value: Value::new(0).unwrap(),
            pool,
        }
    }

    fn works(&self) {
        for size in [10, 100_000] {
            self.queue.put(vec![7; size]).unwrap();
            assert_eq!(self.queue.get().unwrap(), vec![7; size]);
        }
        *self.value.lock().unwrap() += 1;
        assert_eq!(self.pool.map(square, 0..10).unwrap().len(), 10);
    }
}

/// Calls `make` with a lowered limit; returns whether it was refused. The error
/// must contain the system's answer.
fn is_refused((what, make): &Maker, resource: Resource, limit: u64, answer: i32) -> bool {
    let Err(error) = limited(resource, limit, make) else {
        return false;
    };
    let source = refusal(&error).unwrap_or_else(|| panic!("{what}, limit {limit}: {error:?}"));
    assert_eq!(
        source.raw_os_error(),
        Some(answer),
        "{what}, limit {limit}: {error:?}"
    );
    true
}

/// Calls each maker with more and more of a resource until there is enough, so
/// that each of its steps is refused once.
fn refuse_until_enough(makers: &[Maker], resource: Resource, least: u64, answer: i32) {
    let existing = Existing::new();
    for maker in makers {
        let refused = |limit: &u64| {
            let refused = is_refused(maker, resource, *limit, answer);
            limited(resource, *limit, || existing.works());
            refused
        };
        let refusals = (least..least + 200).take_while(refused).count();
        assert!(
            (1..200).contains(&refusals),
            "{}: {refusals} refusals",
            maker.0
        );
    }
}

fn no_descriptors_left_is_an_error_that_names_it() {
    let least = fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let makers = [MEMORY, &[PIPE, PROCESS, POOL]].concat();
    refuse_until_enough(&makers, Resource::RLIMIT_NOFILE, least, libc::EMFILE);
}

fn too_few_descriptors_in_a_child_is_an_error_that_names_it() {
    let values: Vec<_> = (0..300).map(|n| Value::new(n).unwrap()).collect();
    let last = |values: &Vec<Value<i32>>| values[299].get();
    for limit in [20, 100, 256, 280] {
        let error = limited(Resource::RLIMIT_NOFILE, limit, || {
            Process::new(last, (&values,))
                .start()
                .and_then(Process::join)
                .unwrap_err()
        });
        assert!(
            error.to_string().contains("descriptors") || error.to_string().contains("open files"),
            "{limit}: {error}"
        );
    }
    assert_eq!(
        Process::new(last, (&values,))
            .start()
            .unwrap()
            .join()
            .unwrap(),
        299
    );
}

fn fork_refused_is_an_error_that_names_it() {
    // The limit does not apply to root, and counts all processes of a user.
    if geteuid().is_root() {
        let nobody_else = Uid::from_raw(1_000_000_000 + process::id());
        setresuid(nobody_else, nobody_else, nobody_else).unwrap();
        prctl::set_dumpable(true).unwrap();
        refuse_until_enough(&[PROCESS, POOL], Resource::RLIMIT_NPROC, 1, libc::EAGAIN);
    } else {
        let existing = Existing::new();
        for maker in [PROCESS, POOL] {
            assert!(is_refused(&maker, Resource::RLIMIT_NPROC, 1, libc::EAGAIN));
            existing.works();
        }
    }
}

fn a_file_size_limit_is_an_error_that_names_it() {
    let existing = Existing::new();
    // Exceeding this limit would raise SIGXFSZ, which would end the test.
    for maker in [MEMORY, &[POOL]].concat() {
        for limit in [0, 1] {
            assert!(
                is_refused(&maker, Resource::RLIMIT_FSIZE, limit, libc::EFBIG),
                "{}",
                maker.0
            );
        }
    }
    // What needs no file works, in children too.
    for maker in [PIPE, PROCESS] {
        assert!(
            !is_refused(&maker, Resource::RLIMIT_FSIZE, 0, libc::EFBIG),
            "{}",
            maker.0
        );
    }
    limited(Resource::RLIMIT_FSIZE, 0, || {
        existing.works();
        let same = |bytes: Vec<u8>| bytes;
        match Process::new(same, (vec![7; 1 << 20],))
            .start()
            .and_then(Process::join)
        {
            Ok(result) => assert_eq!(result, vec![7; 1 << 20]),
            Err(error) => assert!(refusal(&error).is_some(), "{error:?}"),
        }
        match existing.queue.put(vec![7; 64 << 20]) {
            Ok(()) => assert_eq!(existing.queue.get().unwrap(), vec![7; 64 << 20]),
            Err(error) => assert!(refusal(&error).is_some(), "{error:?}"),
        }
        existing.works();
    });
}

fn mmap_refused_is_an_error_that_names_it() {
    let existing = Existing::new();
    existing.works();
    // This leaves free heap memory for the messages of errors.
    drop(vec![1u8; 64 * 1024]);
    for maker in MEMORY {
        assert!(
            is_refused(maker, Resource::RLIMIT_AS, address_space(), libc::ENOMEM),
            "{}",
            maker.0
        );
    }
    existing.works();
}

fn mmap_refused_in_a_child_is_an_error_that_names_it() {
    let output = itself("limits::has_less_memory_than_its_parent")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn has_less_memory_than_its_parent() {
    if env::var_os(MARK).is_some() {
        let (_, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
        setrlimit(Resource::RLIMIT_AS, 1 << 29, hard).unwrap();
    }
    multiprocessing::init();
    let array = Array::<u8>::zeroed(1 << 30).unwrap();
    let child = Process::new(|array: &Array<u8>| array.get(0), (&array,)).start();
    let error = child.and_then(Process::join).unwrap_err();
    assert!(error.to_string().contains("mmap"), "{error}");
    let pool = Pool::builder()
        .processes(1)
        .initializer(|_: &Array<u8>| (), (&array,))
        .build();
    let error = pool.err().unwrap();
    assert!(matches!(error, Error::WorkerStart(_)), "{error:?}");
    assert!(error.to_string().contains("mmap"), "{error}");
}

fn a_result_that_cannot_be_sent_is_an_error_that_names_it() {
    fn limits_itself(len: usize) -> Vec<u8> {
        let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
        setrlimit(Resource::RLIMIT_FSIZE, 0, hard).unwrap();
        vec![1; len]
    }
    let names_it = |result: Result<Vec<u8>, Error>| match result {
        Ok(result) => assert_eq!(result.len(), 1 << 20),
        Err(error) => assert!(error.to_string().contains("large"), "{error}"),
    };
    let child = Process::new(limits_itself, (10,)).start().unwrap();
    assert_eq!(child.join().unwrap().len(), 10);
    names_it(
        Process::new(limits_itself, (1 << 20,))
            .start()
            .unwrap()
            .join(),
    );
    let pool = Pool::new(1).unwrap();
    names_it(pool.apply(limits_itself, (1 << 20,)));
}

fn runs() {
    multiprocessing::init();
    println!("ran");
}

fn marked(executable: &Path, stdin: impl Into<Stdio>) -> Output {
    Command::new(executable)
        .env("SHARED_TEST", "limits::runs")
        .env(MARK, "1")
        .stdin(stdin)
        .output()
        .unwrap()
}

/// Asserts that the program ran nothing, said why, and exited with a code that
/// means this.
fn is_refusal(what: &str, output: &Output) {
    let words = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code();
    assert!(output.stdout.is_empty(), "{what}: it ran");
    assert!(words.contains(MARK), "{what}: {code:?} {words}");
    assert!(!words.contains("panicked"), "{what}: {words}");
    // Not the code of success, of a failure or of a panic of the program itself.
    assert!(
        code.is_some_and(|code| ![0, 1, 101].contains(&code)),
        "{what}: {code:?}"
    );
}

fn a_child_variable_without_a_socket_is_rejected() {
    let me = env::current_exe().unwrap();
    is_refusal("/dev/null", &marked(&me, Stdio::null()));
    is_refusal("a file", &marked(&me, File::open(&me).unwrap()));
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(&[0; 64]).unwrap();
    is_refusal("a pipe", &marked(&me, reader));
    let closed = Command::new("sh")
        .args(["-c", "exec \"$0\" <&-", me.to_str().unwrap()])
        .env("SHARED_TEST", "limits::runs")
        .env(MARK, "1")
        .output()
        .unwrap();
    is_refusal("no stdin", &closed);
}

fn a_child_variable_with_a_foreign_socket_is_rejected() {
    let me = env::current_exe().unwrap();
    let (here, there) = UnixStream::pair().unwrap();
    drop(here);
    is_refusal("a closed socket", &marked(&me, OwnedFd::from(there)));

    let (here, there) = UnixStream::pair().unwrap();
    here.shutdown(Shutdown::Write).unwrap();
    is_refusal("a silent socket", &marked(&me, OwnedFd::from(there)));

    for garbage in [&[0u8; 4096], &[0xff; 4096], &[b'G'; 4096]] {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(garbage).unwrap();
        here.shutdown(Shutdown::Write).unwrap();
        is_refusal("garbage", &marked(&me, OwnedFd::from(there)));
    }

    let (here, there) = UnixDatagram::pair().unwrap();
    here.send(&[0; 64]).unwrap();
    drop(here);
    is_refusal("datagrams", &marked(&me, OwnedFd::from(there)));

    let listener = TcpListener::bind("localhost:0").unwrap();
    let mut here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    here.write_all(&[0; 64]).unwrap();
    let (there, _) = listener.accept().unwrap();
    is_refusal("TCP", &marked(&me, OwnedFd::from(there)));
    is_refusal("a TCP listener", &marked(&me, OwnedFd::from(listener)));

    let name = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.socket", process::id()));
    let listener = UnixListener::bind(&name).unwrap();
    fs::remove_file(name).unwrap();
    is_refusal("a listener", &marked(&me, OwnedFd::from(listener)));
}

fn a_child_variable_with_the_socket_of_another_user_is_rejected() {
    if !geteuid().is_root() {
        return eprintln!("skipped: only root can make another user's socket");
    }
    // A socket pair has the credentials of its creator.
    seteuid(Uid::from_raw(12_345)).unwrap();
    let (_here, there) = UnixStream::pair().unwrap();
    seteuid(Uid::from_raw(0)).unwrap();
    is_refusal(
        "another user",
        &marked(&env::current_exe().unwrap(), OwnedFd::from(there)),
    );
}

fn starts_with_a_child_variable() {
    let (_here, there) = UnixStream::pair().unwrap();
    let output = marked(
        Path::new(&env::var_os("ORIGINAL").unwrap()),
        OwnedFd::from(there),
    );
    is_refusal("another program", &output);
}

fn a_child_variable_with_the_socket_of_another_program_is_rejected() {
    let me = env::current_exe().unwrap();
    // The copy has the same bytes, but is another file.
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.copy", process::id()));
    fs::copy(&me, &copy).unwrap();
    let other = Command::new(&copy)
        .env("SHARED_TEST", "limits::starts_with_a_child_variable")
        .env("ORIGINAL", me)
        .output();
    fs::remove_file(copy).unwrap();
    let other = other.unwrap();
    assert!(
        other.status.success(),
        "{}",
        String::from_utf8_lossy(&other.stderr)
    );
}

/// A socket pair as a parent makes it, and the variable for a child of `parent`.
fn socket_and_variable(parent: u32) -> (OwnedFd, OwnedFd, String) {
    let family = AddressFamily::Unix;
    let (here, there) =
        socketpair(family, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
    let inode = fstat(&there).unwrap().st_ino;
    (here, there, format!("{inode}:{parent}"))
}

/// Runs `runs` in this executable with the variable set.
fn run_with(variable: &str, stdin: impl Into<Stdio>) -> Output {
    itself("limits::runs")
        .env(MARK, variable)
        .stdin(stdin)
        .output()
        .unwrap()
}

fn a_child_variable_needs_the_socket_of_the_parent_that_it_names() {
    let (_here, there, variable) = socket_and_variable(process::id());
    // Its stdin was replaced. If it went on as a parent, it could start
    // processes without end.
    is_refusal("/dev/null", &run_with(&variable, Stdio::null()));
    let (_, other, _) = socket_and_variable(process::id());
    is_refusal("another socket", &run_with(&variable, other));
    let (stream, _peer) = UnixStream::pair().unwrap();
    let inode = fstat(&stream).unwrap().st_ino;
    let streams = format!("{inode}:{}", process::id());
    is_refusal("a stream", &run_with(&streams, OwnedFd::from(stream)));
    // The socket belongs to this process, but the parent is the shell.
    let output = Command::new("sh")
        .args(["-c", "/proc/$PPID/exe; exit $?"])
        .env("SHARED_TEST", "limits::runs")
        .env(MARK, &variable)
        .stdin(there)
        .output()
        .unwrap();
    is_refusal("a grandparent's socket", &output);
    for variable in ["", "1", "1:", ":1", "1:2:3", "-1:1", "one:two"] {
        is_refusal(variable, &run_with(variable, Stdio::null()));
    }
    // This one is accepted. It exits silently, because its parent is gone before
    // the start message.
    let (here, there, variable) = socket_and_variable(process::id());
    drop(here);
    let output = run_with(&variable, there);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        output.stdout.is_empty() && output.stderr.is_empty(),
        "{output:?}"
    );
}

fn a_child_variable_that_names_another_parent_is_ignored() {
    // The program that a child runs inherits the variable, but has another
    // parent.
    let (_here, _there, variable) = socket_and_variable(1);
    let (_here, other, _) = socket_and_variable(1);
    for stdin in [Stdio::null(), Stdio::from(other)] {
        let output = run_with(&variable, stdin);
        assert_eq!(output.stdout, b"ran\n", "{output:?}");
        assert!(output.status.success() && output.stderr.is_empty());
    }
}

/// The real and the effective user and group of a child.
fn users() -> [u32; 4] {
    [
        getuid().as_raw(),
        geteuid().as_raw(),
        getgid().as_raw(),
        getegid().as_raw(),
    ]
}

fn users_of_a_child() -> [u32; 4] {
    let child = Process::new(users, ()).start().unwrap();
    let its = child.join().unwrap();
    assert_eq!(Pool::new(1).unwrap().apply(users, ()).unwrap(), its);
    its
}

fn children_start_under_another_effective_user() {
    if !geteuid().is_root() {
        return eprintln!("skipped: only root can be another effective user");
    }
    let mine = users();
    setegid(Gid::from_raw(23_456)).unwrap();
    seteuid(Uid::from_raw(12_345)).unwrap();
    assert_eq!(users_of_a_child(), [mine[0], 12_345, mine[2], 23_456]);
    seteuid(Uid::from_raw(0)).unwrap();
    setegid(Gid::from_raw(mine[3])).unwrap();
    assert_eq!(users_of_a_child(), mine);
    prctl::set_dumpable(true).unwrap();
}

fn compares_users() {
    multiprocessing::init();
    assert_eq!(users_of_a_child(), users());
    // While the program has dropped its privileges, its children must not have
    // them either, because their stdin could be any socket of this user.
    let (user, group) = (getuid(), getgid());
    setegid(group).unwrap();
    seteuid(user).unwrap();
    assert_eq!(users_of_a_child(), users());
    println!("started");
}

fn children_of_a_set_user_id_program_have_its_effective_user() {
    if !geteuid().is_root() {
        return eprintln!("skipped: only root can make a program of another user's");
    }
    for (name, mode) in [("user", 0o4755), ("group", 0o2755), ("both", 0o6755)] {
        let copy = env::temp_dir().join(format!("{}.{name}", process::id()));
        fs::copy("/proc/self/exe", &copy).unwrap();
        chown(&copy, Some(0), Some(34_567)).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(mode)).unwrap();
        let output = Command::new(&copy)
            .env("SHARED_TEST", "limits::compares_users")
            .uid(12_345)
            .gid(23_456)
            .output();
        fs::remove_file(copy).unwrap();
        let output = output.unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.stdout, b"started\n", "{name}: {words}");
    }
}

fn deletes_itself() {
    multiprocessing::init();
    let path = env::current_exe().unwrap();
    fs::remove_file(&path).unwrap();
    let child = || Process::new(square, (3,)).start().unwrap().join().unwrap();
    assert_eq!(child(), 9);
    // Another program under the same name is not run.
    fs::copy("/bin/false", &path).unwrap();
    assert_eq!(child(), 9);
}

fn a_child_of_a_deleted_program_starts() {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.deleted", process::id()));
    fs::copy("/proc/self/exe", &copy).unwrap();
    let output = Command::new(&copy)
        .env("SHARED_TEST", "limits::deletes_itself")
        .stderr(Stdio::inherit())
        .output();
    fs::remove_file(copy).unwrap();
    assert!(output.unwrap().status.success());
}

const NO_FLAGS: MsFlags = MsFlags::empty();

fn starts_without_files() {
    multiprocessing::init();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    let child = || Process::new(square, (3,)).start().and_then(Process::join);
    for (hidden, missing) in [("/proc", "/proc"), ("/dev", "/dev/null")] {
        assert_eq!(child().unwrap(), 9);
        mount(Some("tmpfs"), hidden, Some("tmpfs"), NO_FLAGS, none).unwrap();
        let errors = [child().unwrap_err(), Pool::new(1).err().unwrap()];
        umount(hidden).unwrap();
        for error in errors {
            assert!(error.to_string().contains(missing), "{error}");
            let source = refusal(&error).unwrap();
            assert_eq!(source.raw_os_error(), Some(libc::ENOENT), "{error}");
        }
    }
    println!("refused");
}

fn without_proc_or_dev_null_the_error_names_it() {
    let mut namespace = CloneFlags::CLONE_NEWNS;
    if !geteuid().is_root() {
        namespace |= CloneFlags::CLONE_NEWUSER;
    }
    if let Err(errno) = unshare(namespace) {
        return skip(&format!("no namespace of mounts is to be had: {errno}"));
    }
    let output = itself("limits::starts_without_files").output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.stdout, b"refused\n", "{words}");
}

/// What is in use: descriptors, threads, KiB of shared memory that this process maps,
/// and KiB of it that are allocated, once for all processes.
type Usage = [usize; 4];

fn usage() -> Usage {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mapped = maps.lines().filter(|line| line.contains("/memfd:"));
    let mapped = mapped.map(|line| {
        let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let address = |hex| usize::from_str_radix(hex, 16).unwrap();
        address(end) - address(start)
    });
    [
        descriptors(),
        fs::read_dir("/proc/self/task").unwrap().count(),
        mapped.sum::<usize>() / 1024,
        shared_memory() as usize / 1024,
    ]
}

fn difference(after: Usage, before: Usage) -> Usage {
    std::array::from_fn(|n| after[n] - before[n])
}

/// What an object takes in this process while `make` has made it.
fn cost<T>(make: impl FnOnce() -> T) -> Usage {
    // A thread that was joined is in /proc for a moment longer.
    within(LONG, || usage()[1] == 1).unwrap();
    let before = usage();
    let object = make();
    let after = usage();
    drop(object);
    within(LONG, || usage() == before).unwrap();
    difference(after, before)
}

/// What this child has besides what every process has: three descriptors, the one
/// with which `usage` counts them, and a thread.
fn usage_of_a_child() -> Usage {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let private = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let private: u64 = private
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    assert!(private < 1024, "{private} KiB of memory of its own");
    difference(usage(), [4, 1, 0, 0])
}

fn every_object_costs_what_the_guide_says() {
    let (value, queue) = (Value::new(1).unwrap(), Queue::<u8>::new().unwrap());
    let ends = pipe::<u8, u8>().unwrap();
    let waits = |queue: &Queue<u8>| drop(queue.get());
    let prepared = || Process::new(waits, (&queue,));
    let pool_of = |workers| {
        let pool = Pool::new(workers).unwrap();
        assert_eq!(pool.map(square, 1..=2).unwrap(), [1, 4]);
        pool
    };
    let process = cost(|| prepared().daemon(true).start().unwrap());
    let child = Process::new(usage_of_a_child, ()).start().unwrap();
    let worker = Pool::new(1).unwrap().apply(usage_of_a_child, ());
    let rows = [
        ("`Value` of a number", cost(|| Value::new(1u64))),
        ("`Array` of 1000 `u64`", cost(|| Array::new([1u64; 1000]))),
        ("`Queue` that is new", cost(Queue::<u64>::new)),
        (
            "`Queue` with an item of 1 MB",
            cost(|| {
                let queue = Queue::new().unwrap();
                queue.put(vec![1u8; 1_000_000]).unwrap();
                queue
            }),
        ),
        ("`pipe`, both ends", cost(pipe::<u64, u64>)),
        (
            "Clone of one of these",
            cost(|| (value.clone(), queue.clone(), ends.clone())),
        ),
        (
            "Queue among the arguments of a `Process` that is not started",
            cost(prepared),
        ),
        ("`Process`", process),
        ("The child itself", child.join().unwrap()),
        ("`Pool` of 1 worker", cost(|| pool_of(1))),
        ("`Pool` of 4 workers", cost(|| pool_of(4))),
        ("The worker itself", worker.unwrap()),
    ];
    let measured = rows.map(|(name, [descriptors, threads, mapped, allocated])| {
        let kib = |size| match size {
            0 => "0".to_string(),
            size => format!("{size} KiB"),
        };
        let (mapped, allocated) = (kib(mapped), kib(allocated));
        format!("//! | {name} | {descriptors} | {threads} | {mapped} | {allocated} |")
    });
    let guide = include_str!("../../src/multiprocessing/guide.rs").lines();
    let table = guide.skip_while(|line| !line.starts_with("//! | Object |"));
    let table: Vec<_> = table
        .skip(2)
        .take_while(|line| line.starts_with("//! |"))
        .collect();
    assert_eq!(table, measured);
}
