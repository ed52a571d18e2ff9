"""The settings, each written once: the fields of ``Settings`` are the rows of the table.

A row holds the key as Stash stores it, its default, unit, bounds, the name Stash displays and a sentence.
``SETTINGS`` lists the rows for whoever draws or compares them (``PlexSync.yml``, the README,
``test_map.py``).

What Stash 0.30 makes of settings (``internal/manager/config/config.go``, the plugin panel of its UI): keys
never touched are absent, there are no defaults, and the UI draws what is absent as ``""``, ``0`` or off. So
an empty text and a 0 mean "the default" here, and every switch is off unless somebody turned it on.
"""

from __future__ import annotations

import dataclasses
import math
import re
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from plexsync.core import template
from plexsync.core.merge import Policy

Kind = Literal["STRING", "NUMBER", "BOOLEAN"]

# The fields that are synced unless a switch says otherwise, and those that something must be set for.
USUAL_FIELDS = ("title", "summary", "studio", "date", "performers", "tags", "rating")
OTHER_FIELDS = (
    "sort_title",
    "original_title",
    "tagline",
    "content_rating",
    "directors",
    "labels",
    "collections",
    "roles",
    "watched",
)
COLLECTION_SOURCES = ("studio", "parent_studio", "groups", "performers", "tags", "organized")

# What may be set apart for a library: what is written there and when not to, but not how the servers are reached, how
# long is waited, or how a scene's item is found.
PER_LIBRARY = (
    *(f"leave_{field}" for field in USUAL_FIELDS),
    "title_template",
    "sort_title_template",
    "original_title_template",
    "tagline_template",
    "role_template",
    "content_rating",
    "parent_studio",
    "write_directors",
    "tags_as_labels",
    "tag_map",
    "collections_from",
    "write_poster",
    "write_background",
    "role_template",
    "conflict_policy",
    "first_contact",
    "write_watched",
    "ratings_to_stash",
    "watched_to_stash",
    "respect_locks",
    "only_organized",
    "only_identified",
    "skip_bare",
    *(f"{rule}_{what}" for what in ("tags", "studios", "paths") for rule in ("include", "exclude")),
    "keep_unlocked",
)


@dataclass(frozen=True)
class Pair:
    """What something is called in Stash, and in Plex: the beginning of a path, or a tag."""

    stash: str
    plex: str


PathPair = Pair  # as the path map calls its lines


@dataclass(frozen=True)
class LibraryRule:
    """What is set apart for one Plex library: keys of PER_LIBRARY with their values."""

    library: str
    values: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Setting:
    """One row of the table."""

    key: str
    kind: Kind
    default: str | float | bool  # as Stash would store it
    unit: str  # "" when it has none
    name: str  # what Stash's settings page calls it
    sentence: str  # what it does, without the default
    least: float
    most: float
    secret: bool
    needed: bool  # nothing can be synced without it

    @property
    def description(self) -> str:
        """The sentence with unit and default, as Stash's settings page shows it."""
        if self.kind != "NUMBER":
            return self.sentence
        return f"{self.sentence} Default: {self.default:g} {self.unit}."


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the settings, and what is used instead."""

    key: str
    sentence: str
    blocking: bool = False  # nothing can be synced until it is put right


def _row(
    default: object,
    name: str,
    sentence: str,
    *,
    unit: str = "",
    least: float = 1,
    most: float = 1,
    secret: bool = False,
    needed: bool = False,
) -> Any:
    """A field of Settings that carries its row; a secret stays out of ``repr``."""
    row = {"name": name, "sentence": sentence, "unit": unit, "least": least, "most": most}
    return dataclasses.field(
        default=default, repr=not secret, metadata={**row, "secret": secret, "needed": needed}
    )


def _leave(what: str) -> Any:
    return _row(False, f"Leave {what} alone (off by default)", f"On: {what} in Plex are not touched.")


_DAY_S = 86_400


@dataclass(frozen=True)
class Settings:
    """All settings, of the right type and within bounds. ``Settings()`` holds the defaults."""

    plex_url: str = _row(
        "", "Plex address", "Where Plex is, for example http://192.168.1.10:32400.", needed=True
    )
    plex_token: str = _row(
        "",
        "Plex token",
        "The X-Plex-Token of the Plex server's owner (support.plex.tv, article 204059436, says where).",
        secret=True,
        needed=True,
    )
    plex_library: tuple[str, ...] = _row(
        (),
        "Plex libraries",
        "Names of the Plex libraries to write to, separated by commas, or by semicolons where a name holds a comma. "
        "Empty: every library of films or other videos.",
    )
    path_map: tuple[PathPair, ...] = _row(
        (),
        "Path map",
        "Where Stash and Plex see the same files under different paths: pairs like /data => /media, "
        "separated by semicolons. Empty: both see the same paths.",
    )
    exact_paths: bool = _row(
        False,
        "Only exact paths (off by default)",
        "On: a scene's file counts as Plex's only under the very path the path map gives. Off: where none fits, the "
        "file of the same name and size is taken.",
    )
    scan_plex: bool = _row(
        False,
        "Let Plex scan for new files (off by default)",
        "On: when Plex does not have a scene's file, it is asked once to scan that folder. Off: PlexSync waits until "
        "Plex scans by itself.",
    )
    max_attempts: int = _row(
        8,
        "Attempts per scene",
        "How often a scene that fails is tried before it becomes a dead letter. A server that is down "
        "costs no attempt.",
        unit="attempts",
        most=1000,
    )
    retry_base_s: float = _row(
        5,
        "First retry after",
        "Wait before the first retry of a scene that failed; it doubles with each further one.",
        unit="seconds",
        least=0.1,
        most=3600,
    )
    retry_cap_s: float = _row(
        600,
        "Longest wait between retries",
        "The wait between two retries never grows beyond this.",
        unit="seconds",
        least=0.1,
        most=_DAY_S,
    )
    skip_not_found: bool = _row(
        False,
        "Skip scenes Plex does not have (off by default)",
        "On: a scene whose file Plex does not have is done with; it goes over when it is edited again or reconciled. "
        "Off: it waits for its file.",
    )
    not_found_attempts: int = _row(
        12,
        "Looks for a scene Plex does not have",
        "How often PlexSync looks for a file Plex has not scanned yet, at growing intervals up to an hour.",
        unit="looks",
        most=1000,
    )
    plex_timeout_s: float = _row(
        30,
        "Plex timeout",
        "How long to wait for an answer from Plex.",
        unit="seconds",
        least=0.1,
        most=600,
    )
    plex_concurrency: int = _row(
        4,
        "Writes to Plex at a time",
        "At most this many; PlexSync finds out by itself how many serve best.",
        unit="writes",
        most=16,
    )
    stash_timeout_s: float = _row(
        30,
        "Stash timeout",
        "How long to wait for an answer from Stash.",
        unit="seconds",
        least=0.1,
        most=600,
    )
    worker_linger_s: float = _row(
        60,
        "Worker stays for",
        "How long the background worker waits for more edits before it ends.",
        unit="seconds",
        least=0.1,
        most=_DAY_S,
    )
    history_keep: int = _row(
        1000,
        "Finished jobs to keep",
        "How many finished jobs the queue remembers for its status.",
        unit="jobs",
        most=1_000_000,
    )
    reconcile_interval: float = _row(
        0,
        "Reconcile every (off by default)",
        "How often the worker looks by itself for changes no hook told it. Set, it keeps the worker running. 0: never.",
        unit="hours",
        least=0.1,
        most=24 * 365,
    )
    reconcile_scope: str = _row(
        "recent",
        "What to reconcile",
        "What that look covers: recent (the last 24 hours), 7days or all. Empty: recent.",
    )
    leave_title: bool = _leave("titles")
    leave_summary: bool = _leave("summaries")
    leave_studio: bool = _leave("studios")
    leave_date: bool = _leave("release dates")
    leave_performers: bool = _leave("actors")
    leave_tags: bool = _row(
        False, "Leave tags alone (off by default)", "On: tags are written neither as genres nor as labels."
    )
    leave_rating: bool = _leave("user ratings")
    title_template: str = _row(
        "",
        "Title template",
        "How a title is made, for example {studio} - {title} ({date:%Y}); parts that are unset vanish with their "
        "brackets. Empty: the scene's title, or the file's name without extension.",
    )
    sort_title_template: str = _row(
        "",
        "Sort title template",
        "How the sort title is made, for example {studio} {date}. Empty: sort titles are left to Plex.",
    )
    original_title_template: str = _row(
        "",
        "Original title template",
        "How the original title is made, for example {code}. Empty: it is left alone.",
    )
    tagline_template: str = _row(
        "", "Tagline template", "How the tagline is made, for example {groups}. Empty: it is left alone."
    )
    content_rating: str = _row(
        "", "Content rating", "Written to every scene, for example XXX. Empty: it is left alone."
    )
    parent_studio: bool = _row(
        False,
        "Use the parent studio (off by default)",
        "On: a studio that belongs to another is written as that other one.",
    )
    write_directors: bool = _row(
        False,
        "Write directors (off by default)",
        "On: the scene's director is written; commas separate several.",
    )
    tags_as_labels: bool = _row(
        False,
        "Write tags as labels (off by default)",
        "On: tags become labels instead of genres; genres PlexSync wrote before are taken away. Labels of other origin "
        "stay.",
    )
    tag_map: tuple[Pair, ...] = _row(
        (),
        "Tag names",
        "What tags are called in Plex: pairs like Tag => Genre, separated by semicolons; nothing after the arrow "
        "leaves the tag out. An asterisk at the end stands for whatever follows: Meta* => leaves all of these out, and "
        "Genre: * => * takes their beginning away.",
    )
    collections_from: tuple[str, ...] = _row(
        (),
        "Collections from",
        "What collections are made of, separated by commas: studio, parent_studio, groups, performers, tags, "
        "organized. Only collections PlexSync added are ever removed. Empty: none, and those it added are taken away.",
    )
    write_poster: bool = _row(
        False,
        "Write posters (off by default)",
        "On: the scene's cover becomes the item's poster, uploaded once for each different picture.",
    )
    write_background: bool = _row(
        False,
        "Write backgrounds (off by default)",
        "On: the scene's cover becomes the item's background too.",
    )
    role_template: str = _row(
        "",
        "Role template",
        "How the text below an actor's name is made, for example {disambiguation} or {age} years old. Beside the names "
        "of the other templates there are performer, disambiguation, gender, country and age (at the scene's date). "
        "Empty: roles are left alone.",
    )
    photo_address: str = _row(
        "",
        "Actor photos from",
        "Where Plex can reach this Stash, for example http://192.168.1.10:9999: the performers' pictures there become "
        "the actors' photos. Only for a Stash without a login. Empty: photos are left alone.",
    )
    conflict_policy: tuple[tuple[str, Policy], ...] = _row(
        (),
        "When Plex was edited too",
        "Whose value counts when a field was changed in Plex since it was synced: stash, plex or newest, separated "
        "by commas and per field if wanted: newest, rating=plex. Empty: stash.",
    )
    first_contact: str = _row(
        "stash",
        "Where Plex has something already",
        "What happens to a field that has a value in both and was never written by PlexSync: stash (Stash's is "
        "written, Plex's kept for undo) or fill (only what Plex lacks is written, until the field is edited in Stash). "
        "Nothing is ever cleared that PlexSync did not write. Empty: stash.",
    )
    write_watched: bool = _row(
        False,
        "Mark what was played in Stash as watched (off by default)",
        "On: a scene with plays in Stash is marked as watched in Plex, for the token's user. Stash tells nobody of a "
        "play, so it is the next edit of the scene or a reconcile of all that does so.",
    )
    ratings_to_stash: bool = _row(
        False,
        "Ratings from Plex to Stash (off by default)",
        "On: a rating given or changed in Plex becomes the scene's, when the scene is looked at or reconciled. Where "
        "Stash has another, “When Plex was edited too” decides; newest, if that says nothing.",
    )
    watched_to_stash: bool = _row(
        False,
        "Plays from Plex to Stash (off by default)",
        "On: what was played in Plex since PlexSync last looked at an item is counted as played in Stash, when the "
        "scene is looked at or reconciled. What was played before the first look is not.",
    )
    respect_locks: bool = _row(
        False,
        "Keep what is locked in Plex (off by default)",
        "On: a field that is locked in Plex and was never written by PlexSync is left alone.",
    )
    only_organized: bool = _row(
        False, "Only organized scenes (off by default)", "On: scenes not marked as organized are skipped."
    )
    only_identified: bool = _row(
        False, "Only identified scenes (off by default)", "On: scenes without a stash-box id are skipped."
    )
    skip_bare: bool = _row(
        False,
        "Skip scenes without metadata (off by default)",
        "On: scenes with neither title, details, date, rating, studio, performers nor tags are skipped, unless they "
        "were synced before.",
    )
    include_tags: tuple[str, ...] = _row(
        (), "Only with these tags", "Only scenes with one of these tags, separated by commas. Empty: all."
    )
    exclude_tags: tuple[str, ...] = _row(
        (), "Not with these tags", "No scene with one of these tags, separated by commas."
    )
    include_studios: tuple[str, ...] = _row(
        (),
        "Only these studios",
        "Only scenes of these studios or their sub-studios, separated by commas. Empty: all.",
    )
    exclude_studios: tuple[str, ...] = _row(
        (), "Not these studios", "No scene of these studios or their sub-studios, separated by commas."
    )
    include_paths: tuple[str, ...] = _row(
        (), "Only these folders", "Only scenes below these folders of Stash, separated by commas. Empty: all."
    )
    exclude_paths: tuple[str, ...] = _row(
        (), "Not these folders", "No scene below these folders of Stash, separated by commas."
    )
    keep_unlocked: bool = _row(
        False,
        "Leave fields unlocked (off by default)",
        "Off: the fields PlexSync writes are locked in Plex, so that a metadata refresh keeps them. On: they "
        "are not.",
    )
    library_rules: tuple[LibraryRule, ...] = _row(
        (),
        "Rules per library",
        "What is different in single Plex libraries: a library's name in brackets and the settings that hold there, "
        "separated by semicolons, for example [Films] tags_as_labels = on; [Clips] leave_rating = on; title_template = "
        "{title}. All settings from leave_title to keep_unlocked may be set so, except photo_address. Empty: all "
        "libraries are alike.",
    )
    plex_insecure: bool = _row(
        False,
        "Accept any Plex certificate (off by default)",
        "On: talk to an https Plex address without checking its certificate.",
    )

    def leaves(self, field: str) -> bool:
        """Did the user say not to touch this field?"""
        return field in USUAL_FIELDS and bool(getattr(self, f"leave_{field}"))

    def policy(self, field: str) -> Policy:
        """Whose value counts for ``field`` when Plex was edited too."""
        chosen = dict(self.conflict_policy)
        usual: Policy = "newest" if field == "rating" and self.ratings_to_stash else "stash"
        return chosen.get(field, chosen.get("", usual))

    def for_library(self, title: str) -> Settings:
        """The settings as they are in the Plex library of this name; for "" those of a library without rules."""
        folded = library_key(title)
        values = next((rule.values for rule in self.library_rules if library_key(rule.library) == folded), ())
        return dataclasses.replace(self, **dict(values)) if values else self

    def in_all_libraries(self) -> tuple[Settings, ...]:
        """The settings as they are in any library: without rules first, then for each library that has some."""
        return (self, *(self.for_library(rule.library) for rule in self.library_rules))


def library_key(name: str) -> str:
    """Equal for two spellings of a library's name."""
    return name.strip().casefold()


def _kind(default: object) -> Kind:
    if isinstance(default, bool):
        return "BOOLEAN"
    return "NUMBER" if isinstance(default, (int, float)) else "STRING"


def _stored(default: Any) -> Any:
    return "" if isinstance(default, tuple) else default


SETTINGS: tuple[Setting, ...] = tuple(
    Setting(key=field.name, kind=_kind(field.default), default=_stored(field.default), **field.metadata)
    for field in dataclasses.fields(Settings)
)


class _Wrong(Exception):
    """Why a value is not usable, as the part of a sentence after the key."""


def parse(values: object) -> tuple[Settings, tuple[Problem, ...]]:
    """Settings from what Stash stores, with a Problem for each value that is missing though needed, or wrong.

    Never raises, whatever it is given; a wrong value is replaced by its default, a number out of bounds by
    the nearest bound. Unknown keys are ignored: an older or newer PlexSync may have left them.
    """
    problems: list[Problem] = []
    if not isinstance(values, Mapping):
        if values is not None:
            problems.append(
                Problem("", "The settings are not a list of names and values; defaults are used.")
            )
        values = {}
    chosen: dict[str, Any] = {}
    for row in SETTINGS:
        given = values.get(row.key)
        if given is None or given == "":
            continue
        try:
            value, complaints = _READERS.get(row.key, _BY_KIND[row.kind])(row, given)
        except _Wrong as why:
            problems.append(Problem(row.key, f"{row.key} {why}; {_instead(row)}."))
            continue
        problems.extend(Problem(row.key, f"{row.key} {complaint}.") for complaint in complaints)
        chosen[row.key] = value
    settings = Settings(**chosen)
    for row in SETTINGS:
        if row.needed and not getattr(settings, row.key):
            said = any(problem.key == row.key for problem in problems)
            problems = [dataclasses.replace(p, blocking=True) if p.key == row.key else p for p in problems]
            if not said:
                problems.append(
                    Problem(row.key, f"{row.key} is not set: {row.sentence}".rstrip(".") + ".", blocking=True)
                )
    return settings, tuple(problems)


def _instead(row: Setting) -> str:
    if row.needed:
        return "it is needed, nothing is synced until it is set"
    if row.kind == "STRING":
        return "it counts as empty"
    shown = ("on" if row.default else "off") if row.kind == "BOOLEAN" else f"{row.default:g}"
    return f"the default {shown} is used"


Read = tuple[Any, list[str]]  # the value, and complaints that do not stop it from being used


def _shown(value: object) -> str:
    """A value of a setting that is no secret, short and on one line."""
    text = repr(value) if isinstance(value, (str, int, float, bool)) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def _plain(row: Setting, given: object) -> str:
    """Text that was stored as text, or as a number Stash took it for."""
    if isinstance(given, bool) or not isinstance(given, (str, int, float)):
        raise _Wrong(f"must be text, not a {type(given).__name__}")
    try:
        return str(given).strip()
    except ValueError:  # an int of more digits than Python prints
        raise _Wrong("must be text, not a huge number") from None


def _number(row: Setting, given: object) -> Read:
    wrong = _Wrong(f"must be a number, not {_shown_safely(given)}")
    if isinstance(given, bool) or not isinstance(given, (str, int, float)):
        raise wrong
    try:
        number = float(given)
    except (ValueError, OverflowError):
        raise wrong from None
    if not math.isfinite(number):
        raise wrong
    if number == 0:
        return row.default, []
    complaints = []
    bounded = min(max(number, row.least), row.most)
    if bounded != number:
        complaints.append(f"must be between {row.least:g} and {row.most:g} {row.unit}; {bounded:g} is used")
    if row.least == int(row.least):  # a count, not a time
        whole = max(round(bounded), 1)
        if whole != bounded:
            complaints.append(f"must be a whole number; {whole} is used")
        return whole, complaints
    return bounded, complaints


def _shown_safely(given: object) -> str:
    try:
        return _shown(given)
    except ValueError:
        return "a huge number"


_ON = frozenset({"true", "yes", "on", "1"})
_OFF = frozenset({"false", "no", "off", "0"})


def _switch(row: Setting, given: object) -> Read:
    if isinstance(given, (bool, int, float)) and given in (0, 1):
        return bool(given), []
    word = given.strip().lower() if isinstance(given, str) else ""
    if word in _ON or word in _OFF:
        return word in _ON, []
    raise _Wrong(f"must be on or off, not {_shown_safely(given)}")


def _text(row: Setting, given: object) -> Read:
    return _plain(row, given), []


def _token(row: Setting, given: object) -> Read:
    """A header value. Its text appears in no sentence."""
    token = _plain(row, given)
    if not token.isascii() or not token.isprintable() or " " in token:
        raise _Wrong("holds characters no Plex token has; copy it again")
    return token, []


def _url(row: Setting, given: object) -> Read:
    """``scheme://host[:port][/prefix]``. Never repeats what was given: people paste addresses with a token inside."""
    text = _plain(row, given)
    if not text:
        return "", []
    if "://" not in text:
        text = f"http://{text}"
    example = "write it like http://192.168.1.10:32400"
    try:
        parts = urllib.parse.urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _Wrong(f"is not an address; {example}") from None
    # A host named http is an address with its beginning mistyped: http:/plex, http//plex, http://http://plex.
    if parts.scheme not in ("http", "https") or host in (None, "", "http", "https") or not _hostlike(host):
        raise _Wrong(f"is not an http or https address; {example}")
    if port == 0:
        raise _Wrong(f"has the port 0, which nobody can be reached at; {example}")
    complaints = []
    if parts.query or parts.fragment or "@" in parts.netloc:
        complaints.append(
            "should hold only the address; what follows '?' or '#' and what precedes '@' is left out"
        )
    netloc = f"[{host}]" if ":" in host else host
    netloc += f":{port}" if port else ""
    path = "" if not parts.path.isascii() or not parts.path.isprintable() else parts.path.rstrip("/")
    # The address a browser shows: Plex's own web client lives below /web.
    path = path.split("/web/", 1)[0].removesuffix("/web")
    return f"{parts.scheme}://{netloc}{path}", complaints


def _hostlike(host: str) -> bool:
    return not any(
        letter.isspace() or letter in "<>\"'\\^`{|}%" or not letter.isprintable() for letter in host
    )


def _names(row: Setting, given: object) -> Read:
    """Names separated by commas (by semicolons where a name holds a comma) or line breaks, or a list of
    names; the first spelling of each counts."""
    if isinstance(given, (list, tuple)):
        parts = list(given)
    else:
        text = _plain(row, given)
        parts = re.split(r"[;\n]" if ";" in text else r"[,\n]", text)
    names: dict[str, str] = {}
    for part in parts:
        name = _plain(row, part)
        if name:
            names.setdefault(name.casefold(), name)
    return tuple(names.values()), []


def _pairs(row: Setting, given: object) -> Read:
    """``/stash => /plex`` pairs; both sides are needed, and a path that does not begin at the top fits nothing."""
    pairs, complaints = _read_pairs(row, given, "/stash => /plex", right_needed=True)
    short = [side for pair in pairs for side in (pair.stash, pair.plex) if not _WHOLE_PATH.match(side)]
    if short:
        said = "has a path that does not begin with / or a drive, so its pair is left out"
        complaints.append(f"{said}: {', '.join(map(_shown, short))}")
    whole = (pair for pair in pairs if _WHOLE_PATH.match(pair.stash) and _WHOLE_PATH.match(pair.plex))
    return tuple(whole), complaints


_WHOLE_PATH = re.compile(r"[/\\]|[A-Za-z]:")


def _tag_pairs(row: Setting, given: object) -> Read:
    """``Tag => Genre`` pairs; an empty right side leaves the tag out."""
    return _read_pairs(row, given, "Tag => Genre", right_needed=False)


def _read_pairs(row: Setting, given: object, example: str, *, right_needed: bool) -> Read:
    """Pairs separated by semicolons or line breaks; a list of such texts will do."""
    lines = [_plain(row, part) for part in (given if isinstance(given, (list, tuple)) else [given])]
    pairs: list[Pair] = []
    complaints: list[str] = []
    for line in "\n".join(lines).replace(";", "\n").splitlines():
        if not line.strip():
            continue
        stash, arrow, plex = (part.strip() for part in line.partition("=>"))
        if not arrow or not stash or (right_needed and not plex) or "=>" in plex:
            complaints.append(
                f"has a pair that is not like {example} and is left out: {_shown(line.strip())}"
            )
            continue
        pairs.append(Pair(stash, plex))
    return tuple(pairs), complaints


def _template(row: Setting, given: object) -> Read:
    text = _plain(row, given)
    of_one = template.PERFORMER_NAMES if row.key == "role_template" else ()
    wrong = template.problem(text, (*template.NAMES, *of_one))
    if wrong:
        raise _Wrong(wrong)
    return text, []


def _sources(row: Setting, given: object) -> Read:
    names, _ = _names(row, given)
    known = [name.lower() for name in names if name.lower() in COLLECTION_SOURCES]
    unknown = [name for name in names if name.lower() not in COLLECTION_SOURCES]
    said = f"knows {', '.join(COLLECTION_SOURCES)}, not {', '.join(map(_shown, unknown))}, which is left out"
    return tuple(known), [said] if unknown else []


def _policies(row: Setting, given: object) -> Read:
    """``newest, rating=plex``: a policy for all fields, and for single ones."""
    entries, _ = _names(row, given)
    policies: dict[str, Policy] = {}
    complaints: list[str] = []
    for entry in entries:
        field, equals, word = (part.strip().lower() for part in entry.rpartition("="))
        policy = next((known for known in get_args(Policy) if known == word), None)
        if policy is None or (equals and field not in (*USUAL_FIELDS, *OTHER_FIELDS)):
            complaints.append(f"knows stash, plex and newest, not {_shown(entry)}, which is left out")
            continue
        policies[field] = policy
    return tuple(policies.items()), complaints


# A library's name in brackets, and before its setting; the name may hold brackets of its own.
_BRACKETS = re.compile(r"\[(.+?)\]\s*(?=$|\w+\s*(?:=|$)|[^\]]*$)")


def _rules(row: Setting, given: object) -> Read:
    """``[Library] key = value; key = value; [Another] key``: a switch that is only named is on. Of ``tag_map`` further
    pairs may follow after semicolons."""
    lines = [_plain(row, part) for part in (given if isinstance(given, (list, tuple)) else [given])]
    names: dict[str, str] = {}
    texts: dict[tuple[str, str], str | None] = {}  # by library and key; None where a key has no value
    complaints: list[str] = []
    library, last = "", ("", "")
    for piece in re.split(r"[;\n]", "\n".join(lines)):
        rule = piece.strip()
        if (brackets := _BRACKETS.match(rule)) is not None:
            library, last = library_key(brackets[1]), ("", "")
            names.setdefault(library, brackets[1].strip())
            rule = rule[brackets.end() :]
        key, equals, text = (part.strip() for part in rule.partition("="))
        key = key.lower()
        if not rule:
            continue
        if not library:
            complaints.append(
                f"names no library for {_shown(rule)}, which is left out; write it like [Films] {_shown(rule)[1:-1]}"
            )
        elif key in PER_LIBRARY:
            last = library, key
            texts[last] = text if equals else None
        elif last[1] == "tag_map" and text.startswith(">"):
            texts[last] = f"{texts[last] or ''};{rule}"
        else:
            complaints.append(f"knows no setting {_shown(key)} for [{names[library]}], which is left out")
    values: dict[str, dict[str, Any]] = {}
    for (library, key), given_text in texts.items():
        which = next(other for other in SETTINGS if other.key == key)
        value, why = _apart(which, given_text)
        complaints += [f"[{names[library]}]: {key} {said}" for said in why]
        if value is not None:
            values.setdefault(library, {})[key] = value
    return tuple(LibraryRule(names[one], tuple(some.items())) for one, some in values.items()), complaints


def _apart(row: Setting, text: str | None) -> tuple[Any, list[str]]:
    """The value of a setting that is set apart for a library, None when it has none; and what is wrong with it."""
    if text is None and row.kind != "BOOLEAN":
        return None, ["has no value and is left out"]
    if text == "":
        return getattr(Settings(), row.key), []
    try:
        return _READERS.get(row.key, _BY_KIND[row.kind])(row, True if text is None else text)
    except _Wrong as why:
        return None, [f"{why}; it is left out"]


SCOPE_HOURS: dict[str, float | None] = {
    "recent": 24.0,
    "7days": 7 * 24.0,
    "all": None,
}  # how far a reconcile reaches


def _one_of(*words: str) -> Callable[[Setting, object], Read]:
    """A reader of one of these words."""

    def read(row: Setting, given: object) -> Read:
        word = _plain(row, given).strip().lower()
        if word not in words:
            raise _Wrong(f"must be one of {', '.join(words)}")
        return word, []

    return read


_READERS: Mapping[str, Callable[[Setting, object], Read]] = {
    "reconcile_scope": _one_of(*SCOPE_HOURS),
    "first_contact": _one_of("stash", "fill"),
    "plex_url": _url,
    "photo_address": _url,
    "plex_token": _token,
    "plex_library": _names,
    "path_map": _pairs,
    "title_template": _template,
    "sort_title_template": _template,
    "original_title_template": _template,
    "tagline_template": _template,
    "role_template": _template,
    "tag_map": _tag_pairs,
    "collections_from": _sources,
    "conflict_policy": _policies,
    "library_rules": _rules,
    **dict.fromkeys(
        [f"{rule}_{what}" for rule in ("include", "exclude") for what in ("tags", "studios", "paths")], _names
    ),
}
_BY_KIND: Mapping[Kind, Callable[[Setting, object], Read]] = {
    "STRING": _text,
    "NUMBER": _number,
    "BOOLEAN": _switch,
}
