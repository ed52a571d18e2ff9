"""Preferences of the server and of a section, and the butler's tasks: tables of those a library tool meets.

Names, types, defaults and groups as a PMS answers them at /:/prefs; the many that concern transcoding, DLNA,
channels and the network are left out. Values only; imports nothing of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Pref:
    id: str
    type: str  # bool, int, double, text
    default: Any
    group: str = ""
    label: str = ""
    choices: str = ""  # "0:first|1:second"
    advanced: bool = False

    def read(self, text: str) -> Any:
        """The value of its type in `text`; ValueError when there is none."""
        if self.type == "bool":
            return text.lower() not in ("", "0", "false")
        return {"int": int, "double": float, "text": str}[self.type](text)


SERVER_PREFS = (
    Pref("FriendlyName", "text", "", "general", "Friendly name"),
    Pref("sendCrashReports", "bool", True, "general", "Send crash reports to Plex"),
    Pref("PushNotificationsEnabled", "bool", False, "general", "Push Notifications"),
    Pref("logDebug", "bool", True, "general", "Enable Plex Media Server debug logging", advanced=True),
    Pref("LogVerbose", "bool", False, "general", "Enable Plex Media Server verbose logging", advanced=True),
    Pref("MinimumProgressTime", "int", 60000, "general"),
    Pref("ButlerUpdateChannel", "text", "16", "general", "Server update Channel", "0:Public|8:Beta"),
    Pref("FSEventLibraryUpdatesEnabled", "bool", False, "library", "Scan my library automatically"),
    Pref(
        "FSEventLibraryPartialScanEnabled",
        "bool",
        False,
        "library",
        "Run a partial scan when changes are detected",
    ),
    Pref("ScheduledLibraryUpdatesEnabled", "bool", False, "library", "Scan my library periodically"),
    Pref(
        "ScheduledLibraryUpdateInterval",
        "int",
        3600,
        "library",
        "Library scan interval",
        "900:every 15 minutes|1800:every 30 minutes|3600:hourly|7200:every 2 hours|21600:every 6 hours",
    ),
    Pref("autoEmptyTrash", "bool", True, "library", "Empty trash automatically after every scan"),
    Pref("allowMediaDeletion", "bool", True, "library", "Allow media deletion"),
    Pref("OnDeckWindow", "int", 16, "library", "Weeks to consider for Continue Watching"),
    Pref("OnDeckLimit", "int", 40, "library", "Maximum number of Continue Watching items which will appear"),
    Pref("LibraryDefaultVisibility", "int", 0, "library"),
    Pref(
        "ScannerLowPriority", "bool", False, "library", "Run scanner tasks at a lower priority", advanced=True
    ),
    Pref(
        "GenerateBIFBehavior",
        "text",
        "never",
        "library",
        "Generate video preview thumbnails",
        "never:never|scheduled:as a scheduled task|asap:as a scheduled task and when media is added",
    ),
    Pref(
        "GenerateChapterThumbBehavior",
        "text",
        "scheduled",
        "library",
        "Generate chapter thumbnails",
        "never:never|scheduled:as a scheduled task|asap:as a scheduled task and when media is added",
    ),
    Pref("LocationVisibility", "int", 1, "library", "Location visibility", "1:admin only|2:everyone"),
    Pref("EnableIPv6", "bool", True, "network", "Enable server support for IPv6"),
    Pref("secureConnections", "int", 1, "network", "Secure connections", "1:Preferred|0:Required"),
    Pref("customConnections", "text", "", "network", "Custom server access URLs", advanced=True),
    Pref(
        "allowedNetworks",
        "text",
        "",
        "network",
        "List of IP addresses and networks without auth",
        advanced=True,
    ),
    Pref("WebHooksEnabled", "bool", True, "network", "Webhooks"),
    Pref("ArticleStrings", "text", "the,das,der,a,an,el,la"),
    Pref(
        "TranscoderQuality", "int", 0, "transcoder", "Transcoder quality", "0:Automatic|1:Prefer higher speed"
    ),
    Pref("TranscoderH264MinimumCRF", "double", 16.0, "transcoder", advanced=True),
    Pref("ButlerStartHour", "int", 2, "butler", "Time at which tasks start to run"),
    Pref("ButlerEndHour", "int", 5, "butler", "Time at which tasks stop running"),
    Pref("ButlerTaskBackupDatabase", "bool", True, "butler", "Backup database every three days"),
    Pref("ButlerTaskOptimizeDatabase", "bool", True, "butler", "Optimize database every week"),
    Pref("ButlerTaskRefreshLocalMedia", "bool", True, "butler", "Refresh local metadata every three days"),
    Pref("ButlerTaskRefreshLibraries", "bool", False, "butler", "Update all libraries during maintenance"),
)

SECTION_PREFS = (
    Pref(
        "hidden",
        "int",
        0,
        "",
        "Visibility",
        "0:Include in home screen and global search|1:Exclude from home screen"
        "|2:Exclude from home screen and global search",
    ),
    Pref("country", "int", 46, "", "Country", "46:United States of America|47:United Kingdom"),
    Pref("respectTags", "bool", False, "", "Prefer local metadata"),
    Pref("enableCinemaTrailers", "bool", True, "", "Enable Cinema Trailers"),
    Pref("enableBIFGeneration", "bool", True, "", "Enable video preview thumbnails"),
    Pref(
        "collectionMode",
        "int",
        2,
        "",
        "Collections",
        "0:Disabled|1:Hide items|2:Show collections and their items",
    ),
)

COLLECTION_PREFS = (
    Pref(
        "collectionMode",
        "int",
        -1,
        "",
        "Collection mode",
        "-1:Library default|0:Hide collection|1:Hide items in this collection|2:Show this collection and its items",
    ),
    Pref("collectionSort", "int", 0, "", "Collection order", "0:Release date|1:Alphabetical|2:Custom"),
    Pref("collectionFilterBasedOnUser", "int", 0, "", "Filtering", "0:Admin user|1:Current user"),
)

MOVIE_PREFS = (
    Pref(
        "languageOverride",
        "text",
        "",
        "",
        "Metadata language",
        ":Library default|de-DE:Deutsch|en-US:English|es-ES:Español|fr-FR:Français|it-IT:Italiano",
    ),
    Pref("useOriginalTitle", "int", -1, "", "Use original title", "-1:Library default|0:No|1:Yes"),
    Pref(
        "enableCreditsMarkerGeneration", "int", -1, "", "Credits detection", "-1:Library default|0:Disabled"
    ),
)


@dataclass(frozen=True)
class ButlerTask:
    name: str
    title: str
    description: str
    interval_days: int
    enabled: bool = True


BUTLER_TASKS = (
    ButlerTask("BackupDatabase", "Backup Database", "Create a backup copy of the server's database", 3),
    ButlerTask("CleanOldBundles", "Clean Old Bundles", "Remove orphaned bundles from the server", 7),
    ButlerTask("CleanOldCacheFiles", "Clean Old Cache Files", "Delete cache files older than a week", 7),
    ButlerTask("DeepMediaAnalysis", "Deep Media Analysis", "Analyze media files for bitrate and loudness", 1),
    ButlerTask("GarbageCollectLibraryMedia", "Garbage Collect Library Media", "Remove unused media", 7),
    ButlerTask("OptimizeDatabase", "Optimize Database", "Clean up and optimize the database", 7),
    ButlerTask("RefreshLibraries", "Refresh Libraries", "Scan all libraries and update metadata", 1, False),
    ButlerTask(
        "RefreshLocalMedia", "Refresh Local Media", "Refresh all metadata that comes from local files", 3
    ),
    ButlerTask("RefreshPeriodicMetadata", "Refresh Periodic Metadata", "Refresh metadata for libraries", 1),
    ButlerTask("UpgradeMediaAnalysis", "Upgrade Media Analysis", "Analyze items of old server versions", 1),
)
