"""What is below /scene/{id}/: the stream and its playlists, captions, chapters, funscript; and the list sceneStreams.

Nothing is transcoded: playlists are written, their segments and the other formats answer as a Stash without ffmpeg.
Sources: internal/manager/scene.go, internal/api/routes_scene.go, pkg/ffmpeg/stream_segmented.go.
"""

import math
import mimetypes
import os
import re
import urllib.parse
from email.utils import formatdate
from typing import Any

from simulators.serving import Reply, Request

from .catalog import Catalog, File, Scene

HLS, DASH = "application/vnd.apple.mpegurl", "application/dash+xml"
SEGMENT_S = 2
# Name of a size in queries, the smaller edge it needs, the words of its label.
SIZES = (
    ("ORIGINAL", 0, ""),
    ("FOUR_K", 1920, " 4K (2160p)"),
    ("FULL_HD", 1080, " Full HD (1080p)"),
    ("STANDARD_HD", 720, " HD (720p)"),
    ("STANDARD", 480, " Standard (480p)"),
    ("LOW", 240, " Low (240p)"),
)
FORMATS = (
    ("MP4", "video/mp4", ".mp4"),
    ("WEBM", "video/webm", ".webm"),
    ("HLS", HLS, ".m3u8"),
    ("DASH", DASH, ".mpd"),
)
# Audio a browser plays in a container as it is; of a file without sound nothing needs to be played.
AUDIO = {
    "mp4": ("", "aac", "mp3", "opus"),
    "webm": ("", "vorbis", "opus"),
    "matroska": ("", "aac", "mp3", "vorbis", "opus"),
}


def endpoints(url: str, api_key: str, file: File | None, size_max: str = "ORIGINAL") -> list[dict[str, str]]:
    """The rows of `sceneStreams`; `url` is that of the direct stream."""
    if file is None:
        return []
    edge = min(file.width, file.height)
    limit = {name: least for name, least, _ in SIZES}.get(size_max, 0)

    def row(label: str, kind: str, extension: str, size: str = "") -> dict[str, str]:
        query = {"apikey": api_key} if api_key else {}
        if size:
            query["resolution"] = size
        full = url + extension + (f"?{urllib.parse.urlencode(query)}" if query else "")
        return {"url": full, "mime_type": kind, "label": label}

    rows = []
    if file.audio_codec in AUDIO.get(file.format, AUDIO["mp4"]):
        rows.append(row("Direct stream", "video/mp4", ""))
    if file.format == "matroska":
        rows.append(row("MKV", "video/mp4", ".mkv"))  # not its own type: browsers would not try
    for label, kind, extension in FORMATS:
        for size, least, words in SIZES:
            if (least or edge) <= (limit or 1 << 30) and least <= edge:
                rows.append(row(label + words, kind, extension, size))
    return rows


def answer(request: Request, catalog: Catalog, scene: Scene, parts: list[str], prefix: str) -> Reply:
    """What is at a path below a scene that is no picture; `parts` begin behind its number."""
    file = catalog.primary_file(scene)
    what = parts[0]
    if what == "scene_marker":
        return _marker_part(catalog, scene, parts[1:])
    if what == "vtt" and parts[1:] == ["chapter"]:
        return Reply(body=chapters(catalog, scene).encode(), content_type="text/vtt")
    if what == "caption":
        return _caption(request, file)
    if what == "funscript" and file is not None:
        if file.funscript:
            return Reply(body=file.funscript.encode(), headers={"Cache-Control": "no-cache"})
        return serve_file(request, os.path.splitext(file.path)[0] + ".funscript")
    if what == "stream" and file is not None:
        return serve_file(request, file.path)
    if what.startswith("stream.") and file is not None:
        return _transcoded(request, file, parts, prefix)
    return NOT_FOUND


NOT_FOUND = Reply(404, b"404 page not found\n", "text/plain; charset=utf-8")
NO_TRANSCODING = Reply(503, b"Live transcoding disabled\n", "text/plain; charset=utf-8")
# One transparent dot, for a picture that is to be generated yet.
PENDING = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


def serve_file(request: Request, path: str) -> Reply:
    """A file as Go's http.ServeFile gives it out: ranges, Last-Modified, 304."""
    if not os.path.isfile(path):
        return NOT_FOUND
    status = os.stat(path)
    headers = {"Accept-Ranges": "bytes", "Last-Modified": formatdate(int(status.st_mtime), usegmt=True)}
    if request.headers.get("If-Modified-Since") == headers["Last-Modified"]:
        return Reply(304, content_type=None, headers=headers)
    kind = {".funscript": "application/json"}.get(os.path.splitext(path)[1]) or mimetypes.guess_type(path)[0]
    kind = kind or "application/octet-stream"
    start, end = 0, status.st_size
    if given := request.headers.get("Range"):
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", given)
        if found is None or not (found[1] or found[2]):
            return Reply(416, b"invalid range\n", "text/plain; charset=utf-8", headers)
        if found[1]:
            start, end = int(found[1]), min(int(found[2]) + 1 if found[2] else end, end)
        else:
            start = max(0, end - int(found[2]))
        if start >= end:
            headers["Content-Range"] = f"bytes */{status.st_size}"
            return Reply(416, b"invalid range: failed to overlap\n", "text/plain; charset=utf-8", headers)
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{status.st_size}"
    with open(path, "rb") as file:
        file.seek(start)
        return Reply(206 if given else 200, file.read(end - start), kind, headers)


def _transcoded(request: Request, file: File, parts: list[str], prefix: str) -> Reply:
    if parts[0] == "stream.mkv" and file.format != "matroska":
        return Reply(400, b"not an mkv file", "text/plain; charset=utf-8")
    if len(parts) == 1 and parts[0] in ("stream.m3u8", "stream.mpd"):
        kept = [(name, value) for name, value in request.params if name in ("apikey", "resolution")]
        query = f"?{urllib.parse.urlencode(kept)}" if kept else ""
        base = prefix + request.path
        if parts[0] == "stream.m3u8":
            return Reply(body=hls(file.duration, base, query).encode(), content_type=HLS)
        return Reply(body=dash(file, base, query).encode(), content_type=DASH)
    return NO_TRANSCODING


def hls(duration_s: float, base: str, query: str) -> str:
    """A playlist of segments of two seconds, the last one shorter."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-MEDIA-SEQUENCE:0", f"#EXT-X-TARGETDURATION:{SEGMENT_S}"]
    lines.append("#EXT-X-PLAYLIST-TYPE:VOD")
    for number in range(math.ceil(duration_s / SEGMENT_S)):
        length_s = min(SEGMENT_S, duration_s - number * SEGMENT_S)
        lines += [f"#EXTINF:{length_s:f},", f"{base}/{number}.ts{query}"]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def dash(file: File, base: str, query: str) -> str:
    query = query.replace("&", "&amp;")
    timing = f'duration="{SEGMENT_S}" startNumber="0"'

    def track(kind: str, letter: str, codecs: str, more: str) -> str:
        return (
            f'<AdaptationSet mimeType="{kind}/webm" segmentAlignment="true" startWithSAP="1"><SegmentTemplate {timing} '
            f'media="{base}/$Number$_{letter}.webm{query}" initialization="{base}/init_{letter}.webm{query}"/>'
            f'<Representation id="{letter}" codecs="{codecs}" {more}/></AdaptationSet>'
        )

    size = f'bandwidth="200000" width="{file.width}" height="{file.height}" frameRate="{file.frame_rate:g}"'
    tracks = track("video", "v", "vp09.00.40.08", size)
    if file.audio_codec:
        tracks += track("audio", "a", "opus", 'bandwidth="48000" audioSamplingRate="48000"')
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" '
        f'profiles="urn:mpeg:dash:profile:isoff-live:2011" type="static" minBufferTime="PT4S" '
        f'mediaPresentationDuration="PT{file.duration:g}S"><Period start="PT0S" id="0">{tracks}</Period></MPD>\n'
    )


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{round(seconds % 1 * 1000):03d}"


def chapters(catalog: Catalog, scene: Scene) -> str:
    """The scene's markers as WebVTT: each a moment, with its title or else its tags."""
    lines = ["WEBVTT", ""]
    markers = catalog.users("marker", "scene_id").get(scene.id, ())
    for number, marker in enumerate(sorted(markers, key=lambda marker: marker.seconds), 1):
        tags = [
            catalog.tags[item].name
            for item in (marker.primary_tag_id, *marker.tag_ids)
            if item in catalog.tags
        ]
        moment = _clock(marker.seconds)
        lines += [str(number), f"{moment} --> {moment}", marker.title or ", ".join(tags), ""]
    return "\n".join(lines)


def _caption(request: Request, file: File | None) -> Reply:
    """One caption as WebVTT, by language and type; 200 and nothing when there is none."""
    wanted = (request.get("lang") or "", request.get("type") or "")
    for language, kind, text in file.captions if file else ():
        if (language, kind) == wanted:
            # A comma before the thousandths is SubRip's way.
            body = re.sub(r"(\d\d:\d\d:\d\d),(\d\d\d)", r"\1.\2", text)
            if not body.startswith("WEBVTT"):
                body = f"WEBVTT\n\n{body}"
            return Reply(body=body.encode(), content_type="text/vtt", headers={"Cache-Control": "no-cache"})
    return Reply(content_type=None)


def _marker_part(catalog: Catalog, scene: Scene, parts: list[str]) -> Reply:
    if len(parts) != 2 or parts[1] not in ("stream", "preview", "screenshot"):
        return NOT_FOUND
    marker: Any = catalog.rows["marker"].get(int(parts[0]) if parts[0].isdigit() else 0)
    if marker is None or marker.scene_id != scene.id or parts[1] == "stream":
        return NOT_FOUND
    return Reply(body=PENDING, content_type="image/png", headers={"Cache-Control": "no-store"})
