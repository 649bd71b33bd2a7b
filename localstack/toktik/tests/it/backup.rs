//! `toktik backup` beside a house at work, and `toktik restore` of what it made.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;

use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use tempfile::TempDir;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use toktik_events::Function;

use crate::clips::{play, silent_clip, tiny_clip};
use crate::harness::{House, User};
use crate::running::program;

/// When the janitor asks again for what lies still.
const STUCK: TimeDelta = TimeDelta::minutes(6);
/// What happens to a backup.
type Damage = Box<dyn Fn(&Path)>;

const SUCCESS: Option<i32> = Some(0);
const FAILURE: Option<i32> = Some(1);

/// The program with these arguments; what it said on both outputs.
async fn toktik(arguments: &[&str]) -> (Output, String) {
    let mut command = Command::new(program());
    command.env_remove("TOKTIK_DATA_DIR").stdin(Stdio::null());
    let output = command.args(arguments).output().await.unwrap();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    (output, String::from_utf8(said).unwrap())
}

async fn backup(data: &Path, destination: &Path) {
    let arguments = [
        "backup",
        destination.to_str().unwrap(),
        "--data-dir",
        data.to_str().unwrap(),
    ];
    let (output, said) = toktik(&arguments).await;
    assert_eq!(output.status.code(), SUCCESS, "{said}");
}

async fn restore(source: &Path, data: &Path) -> (Option<i32>, String) {
    let arguments = [
        "restore",
        source.to_str().unwrap(),
        "--data-dir",
        data.to_str().unwrap(),
    ];
    let (output, said) = toktik(&arguments).await;
    (output.status.code(), said)
}

/// A house over what a backup restores to.
async fn restored(source: &Path) -> House {
    let directory = tempfile::tempdir().unwrap();
    let (code, said) = restore(source, &directory.path().join("data")).await;
    assert_eq!(code, SUCCESS, "{said}");
    House::over(directory, Vec::new(), Arc::default()).await
}

/// Every object made of a clip, with its bytes.
async fn made_of(house: &House, id: &str) -> BTreeMap<String, Vec<u8>> {
    let mut made = BTreeMap::new();
    for key in house.context.objects.list(&format!("videos/{id}/")).await.unwrap() {
        let bytes = house.object(&key).await;
        made.insert(key, bytes);
    }
    made
}

async fn play_all_of(house: &House, id: &str, user: &User) {
    let video = house.video(id, Some(user)).await;
    assert_eq!(video["status"], "ready", "{video}");
    play(video["urls"]["playlist"].as_str().unwrap()).await;
}

async fn delete(house: &House, id: &str, user: &User) {
    let path = format!("/videos/{id}");
    let deleted = house.call(Method::DELETE, &path, Some(user), None);
    deleted.await.expect(StatusCode::NO_CONTENT);
    house.sweep().await;
    house.cloud.sweep().await.unwrap();
}

/// A backup before anything is begun, one beside the work of each function, and one when nothing is left to do.
async fn backups_during_work(house: &House, into: &Path) -> Vec<PathBuf> {
    let data = house.directory().join("data");
    let never = CancellationToken::new();
    let first = into.join("begin");
    backup(&data, &first).await;
    let mut taken = vec![first];
    for function in [
        Function::Probe,
        Function::Transcode,
        Function::Thumbnail,
        Function::Package,
    ] {
        let destination = into.join(function.name());
        let (handled, ()) = tokio::join!(house.worker(function).drain(&never), backup(&data, &destination));
        assert!(handled.unwrap() > 0, "{function} had nothing to do");
        taken.push(destination);
    }
    house.drain().await;
    let last = into.join("end");
    backup(&data, &last).await;
    taken.push(last);
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_goes_on_from_wherever_the_house_was() {
    let house = House::open().await;
    let user = house.user("ada").await;
    let ready = house.publish(&user, tiny_clip(house.directory())).await;
    let made = made_of(&house, &ready).await;
    let unwanted = house
        .upload(&user, b"nobody shall see these bytes again".repeat(99))
        .await;
    delete(&house, &unwanted, &user).await;
    let announced = house.announce(&user, 1000).await["video"]["id"].take();
    let announced = announced.as_str().unwrap();
    let clip = silent_clip(house.directory(), 2);
    let under_way = [house.upload(&user, clip.clone()).await, house.upload(&user, clip).await];

    let into = tempfile::tempdir().unwrap();
    let taken = backups_during_work(&house, into.path()).await;
    delete(&house, &ready, &user).await;
    assert_eq!(made_of(&house, &ready).await, BTreeMap::new());

    for backup in &taken {
        assert!(!holds(backup, b"nobody shall see"), "bytes of a deleted clip");
        let house = restored(backup).await;
        house.get("/me", Some(&user)).await.expect(StatusCode::OK);
        assert!(
            made_of(&house, &ready).await == made,
            "other bytes in {}",
            backup.display()
        );
        play_all_of(&house, &ready, &user).await;
        assert_eq!(
            house.get(&format!("/videos/{unwanted}"), Some(&user)).await.status,
            StatusCode::NOT_FOUND
        );
        assert_eq!(house.video(announced, Some(&user)).await["status"], "uploading");
        house.drain().await;
        house.advance(STUCK);
        house.sweep().await;
        let user = house.again(&user).await;
        for id in &under_way {
            play_all_of(&house, id, &user).await;
        }
        assert_eq!(house.messages().await, 0);
    }
}

/// Whether any file has these bytes in it.
fn holds(directory: &Path, wanted: &[u8]) -> bool {
    files(directory).iter().any(|path| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(wanted.len()).any(|window| window == wanted)
    })
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.flat_map(below).collect()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A house at rest with one object in it, and a backup of it.
async fn backed_up() -> (House, TempDir) {
    let house = House::open().await;
    let user = house.user("ada").await;
    house.upload(&user, vec![7; 5000]).await;
    let into = tempfile::tempdir().unwrap();
    backup(&house.directory().join("data"), &into.path().join("backup")).await;
    (house, into)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_its_owners_alone_and_can_be_checked_by_hand() {
    let (house, into) = backed_up().await;
    let backup = into.path().join("backup");
    assert_eq!(mode(&backup), 0o700);
    assert_eq!(mode(&backup.join("secrets.json")), 0o600);
    let sums = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
        .current_dir(&backup)
        .output();
    let sums = sums.await.unwrap();
    assert!(sums.status.success(), "{}", String::from_utf8_lossy(&sums.stderr));
    let listed = std::fs::read_to_string(backup.join("SHA256SUMS"))
        .unwrap()
        .lines()
        .count();
    // Neither the list nor the manifest is on the list.
    assert_eq!(files(&backup).len(), listed + 2);

    let data = into.path().join("data");
    let (code, said) = restore(&backup, &data).await;
    assert_eq!(code, SUCCESS, "{said}");
    assert!(said.contains("holds 1 objects as of 2"), "{said}");
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("secrets.json")), 0o600);
    let secrets = |directory: &Path| std::fs::read(directory.join("secrets.json")).unwrap();
    assert_eq!(secrets(&data), secrets(&house.directory().join("data")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_goes_into_an_empty_directory_outside_the_data() {
    let (house, into) = backed_up().await;
    let data = house.directory().join("data");
    let inside = data.join("backup");
    let nothing = into.path().join("nothing");
    for (destination, data, reason) in [
        (into.path(), &*data, "is not empty"),
        (&*inside, &data, "would lie in the data directory itself"),
        (&*nothing, &nothing, "there is no data directory"),
        (
            &nothing,
            &house.directory().join("scratch"),
            "there is nothing of Toktik in",
        ),
    ] {
        let arguments = [
            "backup",
            destination.to_str().unwrap(),
            "--data-dir",
            data.to_str().unwrap(),
        ];
        let (output, said) = toktik(&arguments).await;
        assert_eq!(output.status.code(), FAILURE, "{said}");
        assert!(said.contains(reason), "{said}");
    }
    assert!(!inside.exists() && !nothing.exists());
    assert!(into.path().join("backup/backup.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_whole_backup_is_refused_and_leaves_nothing() {
    let (_house, into) = backed_up().await;
    let backup = into.path().join("backup");
    let blob = files(&backup.join("blobs")).pop().unwrap();
    let name = blob.strip_prefix(&backup).unwrap().to_str().unwrap();
    let data = into.path().join("data");
    let change = |file: &'static str, from: &'static str, to: &'static str| {
        move |backup: &Path| {
            let path = backup.join(file);
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(from), "{text}");
            std::fs::write(path, text.replacen(from, to, 1)).unwrap();
        }
    };
    let remove = |file: &str| {
        let file = file.to_owned();
        move |backup: &Path| std::fs::remove_file(backup.join(&file)).unwrap()
    };
    let flip = |file: &str| {
        let file = file.to_owned();
        move |backup: &Path| {
            let mut bytes = std::fs::read(backup.join(&file)).unwrap();
            bytes[1000] ^= 1;
            std::fs::write(backup.join(&file), bytes).unwrap();
        }
    };
    let damages: [(Damage, &str); 9] = [
        (
            Box::new(remove("backup.json")),
            "one that was not finished: it has no backup.json",
        ),
        (Box::new(change("backup.json", "{", "")), "backup.json is damaged"),
        (
            Box::new(change("backup.json", "\"format\": 1", "\"format\": 2")),
            "has format 2, and this program",
        ),
        (
            Box::new(change("SHA256SUMS", "secrets", "../../x")),
            "SHA256SUMS is damaged",
        ),
        (Box::new(remove("SHA256SUMS")), "reading SHA256SUMS"),
        (Box::new(remove(name)), name),
        (Box::new(flip(name)), "the file is damaged"),
        (Box::new(flip("cloud.sqlite")), "cloud.sqlite: the file is damaged"),
        (Box::new(remove("secrets.json")), "secrets.json"),
    ];
    for (damage, reason) in damages {
        let damaged = tempfile::tempdir_in(into.path()).unwrap();
        copy(&backup, damaged.path());
        damage(damaged.path());
        let (code, said) = restore(damaged.path(), &data).await;
        assert_eq!(code, FAILURE, "{said}");
        assert!(said.contains(reason), "{said} does not say: {reason}");
        assert!(!data.exists(), "{said}");
    }
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("mine"), "keep").unwrap();
    let (code, said) = restore(&backup, &data).await;
    assert_eq!(code, FAILURE, "{said}");
    assert!(said.contains("is not empty"), "{said}");
    assert_eq!(files(&data), [data.join("mine")]);
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let to = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(file, to).unwrap();
    }
}
