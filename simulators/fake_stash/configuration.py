"""`configuration` and the mutations that change it: defaults of a fresh Stash 0.30, overlaid by what was set."""

import os
import time
from collections.abc import Mapping
from typing import Any

from .instance import Call
from .sessions import make_api_key

Given = Mapping[str, Any]

GENERAL: dict[str, Any] = {
    "stashes": [],
    "databasePath": "stash-go.sqlite",
    "backupDirectoryPath": "",
    "deleteTrashPath": "",
    "generatedPath": "generated",
    "metadataPath": "metadata",
    "scrapersPath": "scrapers",
    "cachePath": "cache",
    "blobsPath": "blobs",
    "blobsStorage": "FILESYSTEM",
    "ffmpegPath": "",
    "ffprobePath": "",
    "calculateMD5": False,
    "videoFileNamingAlgorithm": "OSHASH",
    "parallelTasks": 0,
    "previewAudio": True,
    "previewSegments": 12,
    "previewSegmentDuration": 0.75,
    "previewExcludeStart": "0",
    "previewExcludeEnd": "0",
    "previewPreset": "slow",
    "transcodeHardwareAcceleration": False,
    "maxTranscodeSize": "ORIGINAL",
    "maxStreamingTranscodeSize": "ORIGINAL",
    "transcodeInputArgs": [],
    "transcodeOutputArgs": [],
    "liveTranscodeInputArgs": [],
    "liveTranscodeOutputArgs": [],
    "drawFunscriptHeatmapRange": True,
    "writeImageThumbnails": True,
    "createImageClipsFromVideos": False,
    "maxSessionAge": 3600,
    "logFile": "",
    "logOut": True,
    "logLevel": "Info",
    "logAccess": True,
    "logFileMaxSize": 0,
    "videoExtensions": [
        "m4v",
        "mp4",
        "mov",
        "wmv",
        "avi",
        "mpg",
        "mpeg",
        "rmvb",
        "rm",
        "flv",
        "asf",
        "mkv",
        "webm",
    ],
    "imageExtensions": ["png", "jpg", "jpeg", "gif", "webp", "avif"],
    "galleryExtensions": ["zip", "cbz"],
    "createGalleriesFromFolders": False,
    "galleryCoverRegex": "(poster|cover|folder|board)\\.[^\\.]+$",
    "excludes": [],
    "imageExcludes": [],
    "customPerformerImageLocation": "",
    "stashBoxes": [],
    "pythonPath": "",
    "scraperPackageSources": [],
    "pluginPackageSources": [],
}
# Keys kept under another name, because the server itself reads them.
STORED_AS = {
    "username": "username",
    "password": "password",
    "maxSessionAge": "max_session_age",
    "pythonPath": "python_path",
    "pluginsPath": "plugins_path",
}
INTERFACE: dict[str, Any] = {
    "sfwContentMode": False,
    "menuItems": ["scenes", "images", "groups", "markers", "galleries", "performers", "studios", "tags"],
    "soundOnPreview": False,
    "wallShowTitle": True,
    "wallPlayback": "video",
    "showScrubber": True,
    "maximumLoopDuration": 0,
    "noBrowser": False,
    "notificationsEnabled": True,
    "autostartVideo": False,
    "autostartVideoOnPlaySelected": True,
    "continuePlaylistDefault": False,
    "showStudioAsText": False,
    "css": "",
    "cssEnabled": False,
    "javascript": "",
    "javascriptEnabled": False,
    "customLocales": "",
    "customLocalesEnabled": False,
    "language": "en-US",
    "imageLightbox": {
        "slideshowDelay": 5000,
        "displayMode": "FIT_XY",
        "scaleUp": False,
        "resetZoomOnNav": True,
        "scrollMode": "ZOOM",
        "scrollAttemptsBeforeChange": 0,
        "disableAnimation": False,
    },
    "disableDropdownCreate": {
        "performer": False,
        "tag": False,
        "studio": False,
        "movie": False,
        "gallery": False,
    },
    "handyKey": "",
    "funscriptOffset": 0,
    "useStashHostedFunscript": False,
}
DLNA: dict[str, Any] = {
    "serverName": "stash",
    "enabled": False,
    "port": 1338,
    "whitelistedIPs": [],
    "interfaces": [],
    "videoSortOrder": "title",
}
SCRAPING: dict[str, Any] = {
    "scraperUserAgent": "",
    "scraperCDPPath": "",
    "scraperCertCheck": True,
    "excludeTagPatterns": [],
}
SCAN: dict[str, Any] = {
    "rescan": False,
    "scanGenerateCovers": True,
    "scanGeneratePreviews": False,
    "scanGenerateImagePreviews": False,
    "scanGenerateSprites": False,
    "scanGeneratePhashes": False,
    "scanGenerateThumbnails": False,
    "scanGenerateClipPreviews": False,
}
GENERATE: dict[str, Any] = {
    "covers": True,
    "sprites": True,
    "previews": True,
    "imagePreviews": False,
    "previewOptions": {
        "previewSegments": 12,
        "previewSegmentDuration": 0.75,
        "previewExcludeStart": "0",
        "previewExcludeEnd": "0",
        "previewPreset": "slow",
    },
    "markers": True,
    "markerImagePreviews": False,
    "markerScreenshots": False,
    "transcodes": False,
    "phashes": True,
    "interactiveHeatmapsSpeeds": False,
    "imageThumbnails": False,
    "clipPreviews": False,
}
IDENTIFY_OPTIONS: dict[str, Any] = {
    "fieldOptions": [
        {"field": "title", "strategy": "OVERWRITE", "createMissing": None},
        {"field": "studio", "strategy": "MERGE", "createMissing": True},
        {"field": "performers", "strategy": "MERGE", "createMissing": True},
        {"field": "tags", "strategy": "MERGE", "createMissing": True},
    ],
    "setCoverImage": True,
    "setOrganized": False,
    "includeMalePerformers": True,
    "skipMultipleMatches": True,
    "skipMultipleMatchTag": None,
    "skipSingleNamePerformers": True,
    "skipSingleNamePerformerTag": None,
}
DEFAULTS: dict[str, Any] = {
    "scan": SCAN,
    "identify": {
        "sources": [
            {
                "source": {
                    "stash_box_index": None,
                    "stash_box_endpoint": "https://stashdb.org/graphql",
                    "scraper_id": None,
                },
                "options": None,
            },
            {
                "source": {
                    "stash_box_index": None,
                    "stash_box_endpoint": None,
                    "scraper_id": "builtin_autotag",
                },
                "options": {**dict.fromkeys(IDENTIFY_OPTIONS), "setOrganized": False},
            },
        ],
        "options": IDENTIFY_OPTIONS,
    },
    "autoTag": {"performers": ["*"], "studios": ["*"], "tags": ["*"]},
    "generate": GENERATE,
    "deleteFile": False,
    "deleteGenerated": True,
}


def section(call: Call, name: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {**defaults, **call.instance.settings.get(name, {})}


def _store(call: Call, name: str, given: Given) -> None:
    call.instance.settings.set({name: {**call.instance.settings.get(name, {}), **given}})


def package_sources(call: Call, name: str) -> list[dict[str, Any]]:
    rows = section(call, "general", GENERAL)[name]
    return [{"name": row.get("name"), "url": row["url"], "local_path": row.get("local_path")} for row in rows]


def general(call: Call) -> dict[str, Any]:
    found = section(call, "general", GENERAL)
    settings = call.instance.settings
    folder = str(call.instance.config_dir)
    for name in ("databasePath", "generatedPath", "metadataPath", "scrapersPath", "cachePath", "blobsPath"):
        found[name] = os.path.join(folder, found[name])
    password = settings.get("password", "")
    return {
        **found,
        "configFilePath": str(settings.path),
        "pluginsPath": str(call.instance.host.settings.plugins_path),
        "apiKey": call.instance.api_key,
        "username": call.instance.user,
        "password": "$2a$04$" + "x" * 53 if password else "",  # a hash, as Stash shows it
        "maxSessionAge": call.instance.sessions.max_age_s,
        "pythonPath": settings.get("python_path", ""),
        "logLevel": call.instance.log.level,
        "stashBoxes": [{"max_requests_per_minute": 0, **box} for box in found["stashBoxes"]],
        "scraperPackageSources": package_sources(call, "scraperPackageSources"),
        "pluginPackageSources": package_sources(call, "pluginPackageSources"),
    }


def configuration(call: Call) -> dict[str, Any]:
    return {
        "general": general(call),
        "interface": section(call, "interface", INTERFACE),
        "dlna": {**DLNA, **call.instance.settings.get("dlna", {})},
        "scraping": section(call, "scraping", SCRAPING),
        "defaults": section(call, "defaults", DEFAULTS),
        "ui": call.instance.settings.get("ui", {}),
    }


def plugin_settings(call: Call, config: Any, include: list[str] | None = None) -> dict[str, Any]:
    return call.instance.settings.plugins(include)


def configure_general(call: Call, input: Given) -> dict[str, Any]:
    own = {STORED_AS[key]: value for key, value in input.items() if key in STORED_AS}
    if own:
        call.instance.settings.set(own)
    rest = {key: value for key, value in input.items() if key not in STORED_AS and value is not None}
    if "logLevel" in rest:
        call.instance.log.level = rest["logLevel"]
    if rest:
        _store(call, "general", rest)
    before = call.instance.host.settings.plugins_path
    call.instance.apply_settings()
    if call.instance.host.settings.plugins_path != before:
        call.instance.host.reload()
    return general(call)


def configure_interface(call: Call, input: Given) -> dict[str, Any]:
    given = dict(input)
    held = section(call, "interface", INTERFACE)
    for name in ("imageLightbox", "disableDropdownCreate"):
        if name in given:
            given[name] = {**held[name], **(given[name] or {})}
    _store(call, "interface", given)
    return section(call, "interface", INTERFACE)


def configure_scraping(call: Call, input: Given) -> dict[str, Any]:
    _store(call, "scraping", input)
    return section(call, "scraping", SCRAPING)


def configure_defaults(call: Call, input: Given) -> dict[str, Any]:
    given = dict(input)
    if given.get("scan") is not None:
        given["scan"] = {**dict.fromkeys(SCAN, False), **given["scan"]}
    _store(call, "defaults", given)
    return section(call, "defaults", DEFAULTS)


def configure_plugin(call: Call, plugin_id: str, input: Given) -> dict[str, Any]:
    """Replaces the whole map. Nothing tells the plugin."""
    return call.instance.settings.set_plugin(plugin_id, input)


def configure_ui(call: Call, input: Given | None = None, partial: Given | None = None) -> dict[str, Any]:
    held: dict[str, Any] = dict(call.instance.settings.get("ui", {}) if input is None else input)
    held.update(partial or {})
    call.instance.settings.set({"ui": held})
    return held


def configure_ui_setting(call: Call, key: str, value: Any = None) -> dict[str, Any]:
    held = dict(call.instance.settings.get("ui", {}))
    held[key] = value
    call.instance.settings.set({"ui": held})
    return held


def generate_api_key(call: Call, input: Given) -> str:
    """Only with a user name; `clear` takes the key away."""
    key = (
        "" if input.get("clear") or not call.instance.user else make_api_key(call.instance.user, time.time())
    )
    call.instance.settings.set({"api_key": key or None})
    return key
