//! A file and two sockets that a hostile clip names, watched from outside of the sandbox: whoever opens the one or calls
//! at the others is seen.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tempfile::TempDir;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use toktik_media::process::{Budget, Job, Limits, Output, RunError, Runner, Tool};
use toktik_media::settings::Settings;

use super::made;
use crate::running::program;

/// What ffmpeg would allow if it were up to the file. Options for both programs.
const EVERYTHING: [&str; 2] = [
    "-protocol_whitelist",
    "file,http,https,tls,tcp,udp,rtp,crypto,data,concat,subfile,srt,unix,pipe",
];

pub(super) struct Bait {
    directory: TempDir,
    watch: Inotify,
    tcp: TcpListener,
    udp: UdpSocket,
}

/// Who has taken it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    file: bool,
    tcp: bool,
    udp: bool,
}

impl Bait {
    /// The file is a film that everybody may read: only a guard keeps anybody from it.
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let film = "-f lavfi -i testsrc2=s=64x64:r=10:d=1 -pix_fmt yuv420p -c:v libx264 -preset ultrafast";
        made(directory.path(), "bait.ts", film);
        let file = directory.path().join("bait.ts");
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let watch = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
        watch
            .add_watch(&file, AddWatchFlags::IN_OPEN | AddWatchFlags::IN_ACCESS)
            .unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        tcp.set_nonblocking(true).unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.set_nonblocking(true).unwrap();
        Self {
            directory,
            watch,
            tcp,
            udp,
        }
    }

    pub(super) fn file(&self) -> String {
        self.directory.path().join("bait.ts").to_str().unwrap().to_owned()
    }

    /// An address of this scheme at which somebody listens.
    pub(super) fn tcp(&self, scheme: &str) -> String {
        format!("{scheme}://{}/bait.ts", self.tcp.local_addr().unwrap())
    }

    pub(super) fn srt(&self) -> String {
        format!("srt://{}?connect_timeout=200", self.udp.local_addr().unwrap())
    }

    /// What has happened since this was asked last. The kernel notes it at once, whether or not anybody looks.
    pub(super) fn taken(&self) -> Taken {
        let file = match self.watch.read_events() {
            Ok(events) => !events.is_empty(),
            Err(Errno::EAGAIN) => false,
            Err(error) => panic!("{error}"),
        };
        let tcp = happened(self.tcp.accept());
        let udp = happened(self.udp.recv_from(&mut [0; 2000]));
        Taken { file, tcp, udp }
    }

    #[track_caller]
    pub(super) fn assert_untouched(&self) {
        assert_eq!(self.taken(), Taken::default());
    }

    /// The control: asserts that this file, given to ffprobe without our guards, takes the bait.
    pub(super) async fn assert_tempting(&self, bytes: &[u8], arguments: &str) {
        let file = self.upload(bytes);
        let mut ffprobe = Command::new("ffprobe");
        ffprobe
            .args(EVERYTHING)
            .args(arguments.split_whitespace())
            .arg(file)
            .kill_on_drop(true);
        tokio::select! {
            // It waits for an answer that never comes.
            _ = ffprobe.output() => {}
            () = self.called() => return,
        }
        assert_ne!(self.taken(), Taken::default(), "nobody would open anything anyway");
    }

    /// When somebody calls.
    async fn called(&self) {
        let listener = tokio::net::TcpListener::from_std(self.tcp.try_clone().unwrap()).unwrap();
        listener.accept().await.unwrap();
    }

    /// Gives the file to ffprobe in the sandbox, with every other guard taken away.
    pub(super) async fn caged(&self, bytes: &[u8], arguments: &str) -> Result<Output, RunError> {
        let file = self.upload(bytes);
        let directory = tempfile::tempdir().unwrap();
        std::fs::copy(file, directory.path().join("upload.mp4")).unwrap();
        let settings = Settings {
            sandbox_launcher: Some(program()),
            ..Settings::default()
        };
        let words = EVERYTHING
            .into_iter()
            .chain(arguments.split_whitespace())
            .chain(["upload.mp4"]);
        let (budget, cancel) = (Budget::new(Duration::from_secs(20)), CancellationToken::new());
        let job = Job {
            tool: Tool::Ffprobe,
            args: words.map(str::to_owned).collect(),
            dir: directory.path(),
            reads: None,
            limits: Limits::default(),
            budget: &budget,
            cancel: &cancel,
        };
        Runner::new(&settings).unwrap().run(job, |_| ()).await
    }

    fn upload(&self, bytes: &[u8]) -> PathBuf {
        let file = self.directory.path().join("upload.mp4");
        std::fs::write(&file, bytes).unwrap();
        file
    }
}

fn happened<T>(attempt: std::io::Result<T>) -> bool {
    match attempt {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        Err(error) => panic!("{error}"),
    }
}
