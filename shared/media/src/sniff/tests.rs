use super::*;

fn verdict(head: &[u8]) -> Result<Container, RejectionCode> {
    sniff(head, head.len() as u64).map_err(|rejection| rejection.code)
}

/// A box of ISO base media files.
fn part(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).expect("small");
    [&size.to_be_bytes()[..], &kind, body].concat()
}

fn nested(path: &[[u8; 4]], body: &[u8]) -> Vec<u8> {
    path.iter().rev().fold(body.to_vec(), |body, kind| part(*kind, &body))
}

fn table(entries: &[u8]) -> Vec<u8> {
    [b"\0\0\0\0\0\0\0\x01", entries].concat()
}

fn film(moov: &[u8]) -> Vec<u8> {
    [
        part(*b"ftyp", b"isom\0\0\x02\0isomavc1"),
        part(*b"free", b""),
        moov.to_vec(),
    ]
    .concat()
}

#[test]
fn nothing_is_empty() {
    assert_eq!(verdict(b""), Err(RejectionCode::Empty));
    assert_eq!(
        sniff(b"FLV\x01", 0).map_err(|rejection| rejection.code),
        Err(RejectionCode::Empty)
    );
}

#[test]
fn films_are_known_by_their_first_bytes() {
    let rows: &[(&[u8], Container)] = &[
        (b"\0\0\0\x18ftypisom\0\0\x02\0isomavc1", Container::Mp4),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", Container::Mp4),
        (b"\0\0\0\x14ftyp3gp4\0\0\0\x003gp4", Container::Mp4),
        (b"\0\0\0\x14ftypavis\0\0\0\0avis", Container::Mp4),
        (b"\0\0\0\x18stypmsdh\0\0\0\0msdhmsix", Container::Mp4),
        (b"\0\0\0\x08wide\0\0\x10\0mdat", Container::Mp4),
        (b"\0\0\0\0mdat", Container::Mp4),
        (b"\0\0\0\x01mdat\0\0\0\x01\0\0\0\0 film", Container::Mp4),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska", Container::Matroska),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x84webm", Container::Matroska),
        (b"RIFF\0\0\x10\0AVI LIST", Container::Avi),
        (b"FLV\x01\x05\0\0\0\x09", Container::Flv),
        (b"OggS\0\x02", Container::Ogg),
        (b"GIF87a\x10\0", Container::Gif),
        (b"GIF89a\x10\0", Container::Gif),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR....\0\0\0\x08acTL....\0\0\0\0IDAT",
            Container::Apng,
        ),
        (b"\0\0\x01\xba\x44\0", Container::MpegPs),
        (b"\0\0\x01\xb3\x14\0", Container::MpegVideo),
        (b"\0\0\x01\xb0\x01\0\0\x01", Container::Mpeg4),
        (
            b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c..",
            Container::Asf,
        ),
        (
            b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02\x04\0",
            Container::Mxf,
        ),
        (b"nut/multimedia container\0NM", Container::Nut),
        (b"DKIF\0\0\x20\0VP80", Container::Ivf),
        (b".RMF\0\0\0\x12", Container::RealMedia),
        (b"\x1f\x07\x00\x3f", Container::Dv),
        (b"YUV4MPEG2 W16 H16 F25:1\n", Container::Y4m),
        (b"\0\0\0\x01\x67\x64\0\x1f", Container::H264),
        (b"\0\0\x01\x09\xf0", Container::H264),
        (b"\0\0\0\x01\x06\x05\x10", Container::H264),
        (b"\0\0\0\x01\x40\x01\x0c\x01", Container::Hevc),
        (b"\0\0\0\x01\x46\x01\x50", Container::Hevc),
        (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x18ftypmjp2", Container::Mp4),
    ];
    for (head, container) in rows {
        assert_eq!(verdict(head), Ok(*container), "{}", String::from_utf8_lossy(head));
    }
}

#[test]
fn transport_streams_are_known_by_their_rhythm() {
    for (packet, lead) in [(188, 0), (188, 100), (192, 4)] {
        let mut stream = vec![0x11; lead];
        for _ in 0..8 {
            stream.push(0x47);
            stream.resize(stream.len() + packet - 1, 0);
        }
        assert_eq!(verdict(&stream), Ok(Container::MpegTs), "{packet} {lead}");
    }
}

#[test]
fn a_scrambled_broadcast_is_protected() {
    let packet = |control: u8| [&[0x47, 0x01, 0x00, control][..], &[0; 184]].concat();
    let stream = |scrambled: usize| [packet(0x90).repeat(scrambled), packet(0x10).repeat(10 - scrambled)].concat();
    assert_eq!(verdict(&stream(8)), Err(RejectionCode::Encrypted));
    assert_eq!(verdict(&stream(2)), Ok(Container::MpegTs));
}

#[test]
fn what_is_no_video_is_told_apart() {
    let rows: &[(&[u8], RejectionCode)] = &[
        (b"Hello, world.\n", RejectionCode::NotAVideo),
        ("\u{feff}Grüße".as_bytes(), RejectionCode::NotAVideo),
        (b"\xff\xfeH\0i\0", RejectionCode::NotAVideo),
        (b"Look at http://example.com/", RejectionCode::NotAVideo),
        (b"<!DOCTYPE html><html>", RejectionCode::NotAVideo),
        (b"<?xml version='1.0'?><note/>", RejectionCode::NotAVideo),
        (b"{\"a\": 1}", RejectionCode::NotAVideo),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", RejectionCode::NotAVideo),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR....\0\0\0\0IDAT..acTL",
            RejectionCode::NotAVideo,
        ),
        (b"RIFF\0\0\0\0WEBPVP8 ", RejectionCode::NotAVideo),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", RejectionCode::NotAVideo),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", RejectionCode::NotAVideo),
        (b"\0\0\0\x0cjP  \r\n\x87\n", RejectionCode::NotAVideo),
        (b"BM\x36\0\0\0", RejectionCode::NotAVideo),
        (b"II*\0\x08\0", RejectionCode::NotAVideo),
        (b"\x7fELF\x02\x01\x01\0", RejectionCode::NotAVideo),
        (b"PK\x03\x04\0\0", RejectionCode::NotAVideo),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x84else", RejectionCode::NotAVideo),
        (&[0; 4096], RejectionCode::NotAVideo),
        (b"\0", RejectionCode::NotAVideo),
        (b"ID3\x04\0\0", RejectionCode::NoVideoStream),
        (b"\xff\xfb\x90\x64\0\0", RejectionCode::NoVideoStream),
        (b"\xff\xf1\x50\x80\0\0", RejectionCode::NoVideoStream),
        (b"RIFF\0\0\0\0WAVEfmt ", RejectionCode::NoVideoStream),
        (b"fLaC\0\0\0\x22", RejectionCode::NoVideoStream),
        (b"#!AMR\n\x3c", RejectionCode::NoVideoStream),
    ];
    for (head, code) in rows {
        assert_eq!(verdict(head), Err(*code), "{}", String::from_utf8_lossy(head));
    }
}

#[test]
fn playlists_are_refused() {
    let rows: &[&[u8]] = &[
        b"#EXTM3U\n#EXT-X-VERSION:3\n",
        b"\xef\xbb\xbf\n#EXTM3U\n",
        b"\xff\xfe#\x00E\x00X\x00T\x00M\x003\x00U\x00",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"file '/etc/passwd'\n",
        b"[playlist]\nFile1=a.mp3\n",
        b"[Reference]\nRef1=http://a/b\n",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
        b"http://169.254.169.254/latest\n",
        b"srt://127.0.0.1:9000",
        b"concat:/etc/passwd|/etc/passwd",
        b"subfile,,start,0,end,9,,:/etc/passwd",
        b"# a comment\nfile '/etc/passwd'\n",
        b"other lines\n\n  #EXTM3U\n",
        b"#\x00E\x00X\x00T\x00M\x003\x00U\x00",
        b"\x00#\x00E\x00X\x00T\x00M\x003\x00U",
        b"<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\">",
        b"<smil><body/></smil>",
        b"<ASX version=\"3.0\">",
        b"<?xml version='1.0'?><playlist version='1' xmlns='http://xspf.org/ns/0/'>",
        b"<SmoothStreamingMedia MajorVersion=\"2\">",
        b"RIFF\0\0\x10\0AVI LIST....01txGAB2\0\x02\0#EXTM3U\n",
        b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02\x04\0 #EXTM3U",
    ];
    for head in rows {
        assert_eq!(
            verdict(head),
            Err(RejectionCode::ForbiddenFormat),
            "{}",
            String::from_utf8_lossy(head)
        );
    }
}

const MEDIA: [[u8; 4]; 4] = [*b"moov", *b"trak", *b"mdia", *b"minf"];

fn with_reference(kind: [u8; 4], flags: u8, place: &[u8]) -> Vec<u8> {
    let entry = part(kind, &[&[0, 0, 0, flags], place].concat());
    let path = [&MEDIA[..], &[*b"dinf", *b"dref"]].concat();
    film(&nested(&path, &table(&entry)))
}

#[test]
fn films_that_lie_elsewhere_are_refused() {
    assert_eq!(verdict(&with_reference(*b"url ", 1, b"")), Ok(Container::Mp4));
    assert_eq!(verdict(&with_reference(*b"alis", 1, b"self")), Ok(Container::Mp4));
    assert_eq!(verdict(&with_reference(*b"alis", 0, b"")), Ok(Container::Mp4));
    let elsewhere = Err(RejectionCode::ForbiddenFormat);
    assert_eq!(
        verdict(&with_reference(*b"url ", 0, b"file:///etc/passwd\0")),
        elsewhere
    );
    assert_eq!(verdict(&with_reference(*b"alis", 0, b"/etc/passwd")), elsewhere);
    assert_eq!(verdict(&film(&nested(&[*b"moov", *b"rmra"], b"...."))), elsewhere);
}

fn with_entry(kind: [u8; 4]) -> Vec<u8> {
    let path = [&MEDIA[..], &[*b"stbl", *b"stsd"]].concat();
    film(&nested(&path, &table(&part(kind, &[0; 78]))))
}

#[test]
fn protected_films_are_refused() {
    assert_eq!(verdict(&with_entry(*b"avc1")), Ok(Container::Mp4));
    for entry in [*b"encv", *b"enca", *b"drmi", *b"drms"] {
        assert_eq!(verdict(&with_entry(entry)), Err(RejectionCode::Encrypted));
    }
    let windows_media = [
        &b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"[..],
        b"\xfb\xb3\x11\x22\x23\xbd\xd2\x11\xb4\xb7\x00\xa0\xc9\x55\xfc\x6e",
    ];
    assert_eq!(verdict(&windows_media.concat()), Err(RejectionCode::Encrypted));
}

/// A player that asks for keys finds them there; the samples may be clear all the same.
#[test]
fn keys_alone_protect_nothing() {
    assert_eq!(
        verdict(&film(&nested(&[*b"moov", *b"pssh"], b"...."))),
        Ok(Container::Mp4)
    );
}

#[test]
fn letters_in_the_film_itself_mean_nothing() {
    let film = [
        part(*b"ftyp", b"isom"),
        part(*b"mdat", b"\0\0\0\x0cpssh....\0\0\0\x08rmra"),
    ]
    .concat();
    assert_eq!(verdict(&film), Ok(Container::Mp4));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(head: Vec<u8>, prefix in 0..4usize) {
        let prefixes: [&[u8]; 4] = [b"", b"\0\0\0\x08ftyp", b"\0\0\0\x01moov", b"\0\0\0\0moov\0\0\0\0trak"];
        let _ = verdict(&[prefixes[prefix], &head].concat());
    }
}
