"""Carry out what a plan says: Plex's fields first, then the cover, then what Stash is to be told."""

from __future__ import annotations

from dataclasses import replace

from plexsync.core.picture import Picture, judge
from plexsync.core.settings import Settings
from plexsync.core.undo import as_is
from plexsync.core.verdict import Gone, InSync, Outcome, Synced
from plexsync.servers.world import World
from plexsync.sync.plan_batch import ScenePlan, cover_key, kept_fields, pictures


def write_fields(seen: ScenePlan, world: World) -> ScenePlan:
    """Plex's fields, in one request; the plan, which says then that they landed. Raises the failures of Plex."""
    if not seen.edits:
        return seen
    world.plex().write(seen.item, seen.edits)
    return replace(seen, landed=True)


def write_rest(seen: ScenePlan, world: World, settings: Settings) -> tuple[Outcome, ScenePlan]:
    """What goes beside the fields: the cover, and what Stash is to be told. The outcome, and the plan as it is to be
    remembered. Raises the failures of the servers; what was written before is in sync when it is compared again."""
    item = seen.item
    assert item is not None
    fields = seen.edits.fields
    if seen.scene is None:
        return Gone(fields), seen
    settings = settings.for_library(item.section_title)
    if seen.cover:
        seen, sent = _apply_cover(seen, world, settings)
        fields = (*fields, *sent)
    told: list[str] = []
    if seen.edits.rating100 is not None:
        world.stash().rate(seen.scene_id, seen.edits.rating100)
        told.append("rating")
    if seen.plays:
        world.stash().add_plays(seen.scene_id, seen.plays, item.last_viewed_at)
        told.append("plays")
    kept = kept_fields(seen.edits)
    if fields or told:
        return Synced(fields, kept, tuple(told), seen.remarks), seen
    return InSync(kept, seen.remarks), seen


def _keep_picture(seen: ScenePlan, name: str, gallery: str, world: World, settings: Settings) -> None:
    """Which picture the item shows before it is given ours for the first time."""
    if seen.item is not None and name not in seen.images:
        before = replace(as_is(seen.item, name), value=world.plex().selected(seen.item, gallery))
        originals = world.sync_state(settings).originals
        originals.keep(seen.scene_id, seen.item.rating_key, seen.item.files, [(before, True)])


def _apply_cover(seen: ScenePlan, world: World, settings: Settings) -> tuple[ScenePlan, tuple[str, ...]]:
    """The plan with what to remember of the cover as ``images``, and the fields that were written.

    Remembered: ``cover``, the address it had and what was made of it; ``etag``, Stash's name for its bytes; ``poster``
    and ``background``, the hash of what Plex was given. Bytes that are no picture (Stash's placeholder above all) are
    asked for again only when the address changes.
    """
    assert seen.scene is not None and seen.item is not None
    images = {**seen.images, "cover": cover_key(seen.scene, settings)}
    given = pictures(settings)
    has_all = all(name in seen.images for name, _ in given)
    cover = world.stash().cover(seen.scene_id, seen.images.get("etag", "") if has_all else "")
    if cover is None:
        return replace(seen, images=images), ()
    images["etag"] = cover.etag
    picture = judge(cover.data, cover.content_type)
    if not isinstance(picture, Picture):
        remark = f"the cover is not written: it {picture.reason}"
        return replace(seen, images=images, remarks=(*seen.remarks, remark)), ()
    sent = []
    for name, gallery in given:
        if images.get(name) != picture.sha256:
            _keep_picture(seen, name, gallery, world, settings)
            world.plex().upload(seen.item, picture.data, gallery)
            images[name] = picture.sha256
            sent.append(name)
    return replace(seen, images=images), tuple(sent)
