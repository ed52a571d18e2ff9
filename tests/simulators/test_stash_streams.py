"""What is below /scene/{id}/, and who may look at it from where."""

import pytest
import yaml
from stash_world import world
from test_stash_operations import change, find

from simulators.fake_stash.public_access import UntrustedProxy, is_local, outsider

PUBLIC = "203.0.113.9"


@pytest.fixture
def stash(tmp_path):
    film = tmp_path / "media" / "film.mp4"
    film.parent.mkdir()
    film.write_bytes(bytes(range(100)))
    (tmp_path / "media" / "film.funscript").write_text('{"actions": []}')
    srt = "1\n00:00:01,000 --> 00:00:02,500\nHello\n"
    scene = {
        "path": str(film),
        "duration": 5,
        "height": 1080,
        "width": 1920,
        "captions": [{"language": "en", "text": srt}, {"language": "de", "type": "vtt", "text": "WEBVTT\n"}],
    }
    other = {
        "path": "/data/other.mkv",
        "format": "matroska",
        "audio_codec": "ac3",
        "funscript": "{}",
        "width": 640,
    }
    library = {"tags": [{"name": "Beach"}], "scenes": [scene, other | {"height": 480}, {"title": "No file"}]}
    with world(tmp_path, library, seed=2) as found:
        yield found


def get(stash, path: str, **headers: str):
    return stash.request(
        "GET", path, headers={key.replace("_", "-"): value for key, value in headers.items()}
    )


# --- streams ------------------------------------------------------------------------------------------------


def test_what_is_offered_for_streaming(stash):
    rows = find(stash, "sceneStreams(id: 1) { url mime_type label }")
    assert rows[0] == {
        "url": f"{stash.url}/scene/1/stream",
        "mime_type": "video/mp4",
        "label": "Direct stream",
    }
    sizes = ["", " Full HD (1080p)", " HD (720p)", " Standard (480p)", " Low (240p)"]
    assert [row["label"] for row in rows[1:]] == [
        name + size for name in ("MP4", "WEBM", "HLS", "DASH") for size in sizes
    ]
    assert rows[2]["url"] == f"{stash.url}/scene/1/stream.mp4?resolution=FULL_HD"
    assert {row["mime_type"] for row in rows if row["label"].startswith("HLS")} == {
        "application/vnd.apple.mpegurl"
    }
    # Sound no browser plays: not as it is.
    assert find(stash, "findScene(id: 2) { sceneStreams { label } }")["sceneStreams"][0] == {"label": "MKV"}
    assert find(stash, "sceneStreams(id: 3) { label }") == []
    change(stash, "configureGeneral(input: {maxStreamingTranscodeSize: STANDARD}) { apiKey }")
    assert [row["label"] for row in find(stash, "sceneStreams(id: 1) { label }")][1:3] == [
        "MP4 Standard (480p)",
        "MP4 Low (240p)",
    ]


def test_the_file_itself(stash):
    whole = get(stash, "/scene/1/stream")
    assert (whole.status, whole.raw, whole.headers["Content-Type"]) == (200, bytes(range(100)), "video/mp4")
    assert whole.headers["Accept-Ranges"] == "bytes"
    part = get(stash, "/scene/1/stream", Range="bytes=10-19")
    assert (part.status, part.raw) == (206, bytes(range(10, 20)))
    assert part.headers["Content-Range"] == "bytes 10-19/100"
    assert get(stash, "/scene/1/stream", Range="bytes=-5").raw == bytes(range(95, 100))
    assert get(stash, "/scene/1/stream", Range="bytes=90-").raw == bytes(range(90, 100))
    for wrong in ("bytes=100-", "bytes=x", "bytes=-", "lines=1-2"):
        assert get(stash, "/scene/1/stream", Range=wrong).status == 416
    same = get(stash, "/scene/1/stream", If_Modified_Since=whole.headers["Last-Modified"])
    assert (same.status, same.raw) == (304, b"")
    assert get(stash, "/scene/2/stream").status == 404  # the file is not there
    assert get(stash, "/scene/3/stream").status == 404


def test_playlists_are_written_and_nothing_is_transcoded(stash):
    playlist = get(stash, "/scene/1/stream.m3u8?resolution=LOW")
    lines = playlist.raw.decode().splitlines()
    assert lines[0] == "#EXTM3U" and lines[-1] == "#EXT-X-ENDLIST"
    segments = [line for line in lines if line.startswith("/")]
    assert segments == [f"/scene/1/stream.m3u8/{n}.ts?resolution=LOW" for n in range(3)]
    assert "#EXTINF:1.000000," in lines  # the last second of five
    assert get(stash, segments[0]).status == 503
    manifest = get(stash, "/scene/1/stream.mpd?resolution=LOW&apikey=").raw.decode()
    assert 'mediaPresentationDuration="PT5S"' in manifest and "$Number$_v.webm?resolution=LOW" in manifest
    assert get(stash, "/scene/1/stream.mp4").status == 503
    assert get(stash, "/scene/1/stream.mkv").raw == b"not an mkv file"
    assert get(stash, "/scene/2/stream.mkv").status == 503


def test_captions(stash):
    given = find(stash, "findScene(id: 1) { captions { language_code caption_type } paths { caption } }")
    assert given["captions"] == [
        {"language_code": "en", "caption_type": "srt"},
        {"language_code": "de", "caption_type": "vtt"},
    ]
    english = get(stash, "/scene/1/caption?lang=en&type=srt")
    assert english.headers["Content-Type"] == "text/vtt"
    assert english.raw.decode() == "WEBVTT\n\n1\n00:00:01.000 --> 00:00:02.500\nHello\n"
    assert get(stash, "/scene/1/caption?lang=de&type=vtt").raw == b"WEBVTT\n"
    none = get(stash, "/scene/1/caption?lang=fr&type=srt")
    assert (none.status, none.raw) == (200, b"")
    assert find(stash, "findScene(id: 2) { captions { language_code } }") == {"captions": None}
    wanted = 'scene_filter: {captions: {value: "de", modifier: EQUALS}}'
    assert find(stash, f"findScenes({wanted}) {{ scenes {{ id }} }}") == {"scenes": [{"id": "1"}]}


def test_funscripts(stash):
    assert find(stash, "findScene(id: 2) { interactive }") == {"interactive": True}
    assert find(stash, "findScenes(scene_filter: {interactive: true}) { scenes { id } }") == {
        "scenes": [{"id": "2"}]
    }
    assert get(stash, "/scene/2/funscript").json == {}
    assert get(stash, "/scene/1/funscript").json == {"actions": []}  # beside the file
    assert get(stash, "/scene/3/funscript").status == 404


def test_markers_as_chapters(stash):
    for seconds, title in ((61.5, ""), (2, "Start")):
        given = f'scene_id: 1, seconds: {seconds}, title: "{title}", primary_tag_id: 1'
        change(stash, f"sceneMarkerCreate(input: {{{given}}}) {{ id }}")
    text = get(stash, "/scene/1/vtt/chapter")
    assert text.headers["Content-Type"] == "text/vtt"
    assert text.raw.decode().split("\n\n") == [
        "WEBVTT",
        "1\n00:00:02.000 --> 00:00:02.000\nStart",
        "2\n00:01:01.500 --> 00:01:01.500\nBeach\n",
    ]
    pending = get(stash, "/scene/1/scene_marker/1/screenshot")
    assert (pending.headers["Content-Type"], pending.headers["Cache-Control"]) == ("image/png", "no-store")
    assert pending.raw.startswith(b"\x89PNG")
    assert get(stash, "/scene/1/scene_marker/1/stream").status == 404
    assert get(stash, "/scene/2/scene_marker/1/preview").status == 404


def test_what_was_not_generated(stash):
    for part in ("preview", "webp", "interactive_heatmap", "vtt/thumbs"):
        assert get(stash, f"/scene/1/{part}").status == 404


# --- the lock against public addresses --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1", True),
        ("192.168.1.5", True),
        ("172.31.0.1", True),
        ("172.32.0.1", False),
        ("100.64.0.1", True),
        ("169.254.3.4", True),
        ("fe80::1%eth0", True),
        ("fd12::1", True),
        (PUBLIC, False),
        ("2001:4860::1", False),
        ("nonsense", False),
        ("", False),
    ],
)
def test_local_addresses(address, local):
    assert is_local(address) is local


def test_proxies():
    assert outsider("127.0.0.1", "", ()) is None
    assert outsider("10.0.0.1", f"{PUBLIC}, 10.0.0.2", ()) == PUBLIC
    assert outsider("10.0.0.1", "192.168.0.9, 10.0.0.2", ()) is None
    assert outsider(PUBLIC, "192.168.0.9", ()) == PUBLIC
    assert outsider("10.0.0.1", f"{PUBLIC}, 10.0.0.2", ("10.0.0.1", "10.0.0.2")) == PUBLIC
    assert outsider("10.0.0.1", "192.168.0.9, 10.0.0.2", ("10.0.0.1", "10.0.0.2")) is None
    for peer, chain in (("10.0.0.3", "192.168.0.9"), ("10.0.0.1", "192.168.0.9, 10.0.0.7")):
        with pytest.raises(UntrustedProxy):
            outsider(peer, chain, ("10.0.0.1", "10.0.0.2"))


def test_a_public_address_trips_a_lock(stash):
    assert get(stash, "/scene/1/screenshot", X_Forwarded_For="192.168.1.5").status == 200
    assert get(stash, "/scene/1/screenshot", X_Forwarded_For=PUBLIC).status == 403
    # From now on nobody is answered.
    refused = stash.post("{ version { version } }")
    assert (refused.status, refused.raw) == (403, b"")
    assert get(stash, "/healthz").status == 200
    config = yaml.safe_load(stash.instance.settings.path.read_text())
    assert config["security_tripwire_accessed_from_public_internet"] == PUBLIC
    assert any(f"public IP {PUBLIC}" in line for line in stash.logged())
    del config["security_tripwire_accessed_from_public_internet"]
    stash.instance.settings.path.write_text(yaml.safe_dump(config))
    assert stash.post("{ version { version } }").status == 403  # the file is read at the start
    stash.handle.call("POST", "/restart")
    assert stash.post("{ version { version } }").status == 200


def test_a_switch_moves_the_client_abroad(stash):
    stash.handle.call("POST", "/switches", {"seen_from": PUBLIC})
    assert stash.post("{ version { version } }").status == 403


def test_credentials_or_a_setting_keep_it_open(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yml").write_text("dangerous_allow_public_without_auth: true\n")
    with world(tmp_path, seed=2) as found:
        assert get(found, "/scene/1/screenshot", X_Forwarded_For=PUBLIC).status == 200
    with world(tmp_path / "with", seed=2, user="u", password="p") as found:
        assert found.post("{ version { version } }", headers={"X-Forwarded-For": PUBLIC}).status == 401
        key = {"X-Forwarded-For": PUBLIC, "ApiKey": found.instance.api_key}
        assert found.post("{ version { version } }", headers=key).status == 200


def test_an_unknown_proxy_is_an_error(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yml").write_text("trusted_proxies: [10.0.0.1]\n")
    with world(tmp_path, seed=2) as found:
        assert get(found, "/scene/1/screenshot", X_Forwarded_For="192.168.1.5").status == 500
        assert get(found, "/scene/1/screenshot").status == 200
