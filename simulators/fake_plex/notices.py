"""What a listening client is told when something changes: the frames of /:/websockets/notifications.

`frame(kind, about)` turns the library's notices into containers as PMS sends them; `Listeners` hands them to
whoever listens. The same containers go out as server-sent events, there without the NotificationContainer
around them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from simulators.fake_plex.wire import IDENTIFIER

# Type numbers of timeline entries.
_TYPES = {"movie": 1, "collection": 18, "playlist": 15}


def frame(kind: str, about: dict[str, Any]) -> dict[str, Any] | None:
    """The container for one notice; None when a real server stays silent about it."""
    if kind == "timeline":
        item, state = about["item"], about["state"]
        entry = {
            "identifier": IDENTIFIER,
            "sectionID": str(item.section),
            "itemID": str(item.key),
            "type": _TYPES[item.type],
            "title": item.title,
            "state": state,
            "updatedAt": item.updated_at,
        }
        if state == 0:
            entry |= {"metadataState": "created", "mediaState": "analyzing", "queueSize": 1}
        if state == 9:
            entry |= {"metadataState": "deleted"}
        return {"type": "timeline", "size": 1, "TimelineEntry": [entry]}
    if kind == "activity":
        activity = about["activity"]
        told: dict[str, Any] = {
            "uuid": activity.uuid,
            "type": activity.type,
            "cancellable": activity.cancellable,
            "userID": 1,
            "title": activity.title,
            "subtitle": activity.subtitle,
            "progress": activity.progress,
        }
        if activity.context and about["event"] != "started":
            told["Context"] = activity.context
        row = {"event": about["event"], "uuid": activity.uuid, "Activity": told}
        return {"type": "activity", "size": 1, "ActivityNotification": [row]}
    if kind == "playing":
        row = {
            "sessionKey": about["session"],
            "guid": "",
            "ratingKey": str(about["item"].key),
            "url": "",
            "key": f"/library/metadata/{about['item'].key}",
            "viewOffset": about["offset_ms"],
            "state": about["state"],
        }
        return {"type": "playing", "size": 1, "PlaySessionStateNotification": [row]}
    return None


class Listeners:
    """The clients that listen; a queue each. One that reads too slowly loses the oldest frames, not the
    newest.
    """

    FRAMES_MAX = 10_000

    def __init__(self) -> None:
        self.queues: set[asyncio.Queue[dict[str, Any]]] = set()

    def tell(self, container: dict[str, Any]) -> None:
        for queue in self.queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(container)

    async def frames(self) -> AsyncIterator[dict[str, Any]]:
        """The containers from now on, until the iteration is given up."""
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(self.FRAMES_MAX)
        self.queues.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self.queues.discard(queue)
