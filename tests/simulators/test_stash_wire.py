"""HTTP and GraphQL of the fake Stash: statuses and shapes of errors, who may ask, pictures, subscriptions."""

import asyncio
import hashlib
import json
import shutil
import ssl
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import aiohttp
import pytest
import requests
from stash_world import World, self_signed, wait_for, world
from stashapi.stashapp import StashInterface

from simulators.fake_stash.gojson import Number, dumps, graphql_float, sorted_map, struct_float
from simulators.fake_stash.routes import SCHEMA, make_engine

CHECKER = Path(__file__).parents[3] / "shared" / "stash" / "check_schema.py"
UPDATE = "mutation($i: SceneUpdateInput!) { sceneUpdate(input: $i) { id title } }"


@pytest.fixture
def stash(tmp_path):
    with world(tmp_path, seed=5) as found:
        yield found


@pytest.fixture
def locked(tmp_path):
    with world(tmp_path, user="me", password="secret") as found:
        yield found


# --- the schema ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(
    not CHECKER.exists(), reason="the real schema's introspection is not beside this repository"
)
def test_the_schema_is_an_exact_subset_of_the_real_one(stash):
    for source in (("--sdl", str(SCHEMA)), ("--url", f"{stash.url}/graphql")):
        found = subprocess.run(
            [sys.executable, str(CHECKER), *source], capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stdout[-2000:]
        assert "0 failed" in found.stdout


def test_every_root_field_has_an_answer():
    engine = make_engine()
    for type_ in (engine.schema.query_type, engine.schema.mutation_type):
        assert type_ is not None
        assert set(type_.fields) == set(engine.fields[type_.name])


# Deprecated or union-only ways into the same types would only repeat what the others show.
ROOTS = {
    "Scene": "findScene(id: 1)",
    "Performer": "findPerformer(id: 1)",
    "Studio": "findStudio(id: 2)",
    "Tag": "findTag(id: 2)",
    "Group": "findGroup(id: 1)",
    "Gallery": "findGallery(id: 1)",
    "Image": "findImage(id: 1)",
    "SceneMarker": "allSceneMarkers",
    "ConfigResult": "configuration",
    "StatsResultType": "stats",
    "SystemStatus": "systemStatus",
    "Version": "version",
    "Plugin": "plugins",
    "PluginTask": "pluginTasks",
    "Job": "findJob(input: {id: 1})",
    "LogEntry": "logs",
    "FindFilesResultType": "findFiles",
    "FindFoldersResultType": "findFolders",
}


def every_field(schema, type_name: str, depth: int = 2) -> str:
    """A selection of all fields of a type, objects down to `depth`."""
    from graphql import get_named_type, is_leaf_type, is_union_type

    type_ = schema.type_map[type_name]
    parts = []
    for name, field in type_.fields.items():
        inner = get_named_type(field.type)
        arguments = (
            {"fingerprint": '(type: "oshash")', "image": "(index: 0)"}.get(name, "") if field.args else ""
        )
        if is_leaf_type(inner):
            parts.append(name + arguments)
        elif is_union_type(inner):
            parts.append(f"{name} {{ __typename }}")
        elif depth > 0 and name != "source_package":
            parts.append(f"{name}{arguments} {{ {every_field(schema, inner.name, depth - 1)} }}")
    return " ".join(parts) or "__typename"


@pytest.mark.parametrize("type_name", ROOTS)
def test_every_field_of_every_type_can_be_asked_for(stash, type_name):
    catalog = stash.instance.catalog
    file = catalog.add_file("/data/i/1.jpg", {"media": "image"})
    catalog.add("image", {"file_ids": [file.id], "studio_id": 1})
    catalog.add("gallery", {"title": "g", "image_ids": [1], "studio_id": 1})
    catalog.add("marker", {"scene_id": 1, "primary_tag_id": 1, "title": "m", "tag_ids": [2]})
    catalog.update(catalog.scenes[1], {"gallery_ids": [1]})
    stash.plugin("Echo", yml="tasks:\n  - name: T\nsettings:\n  a: {}\n", triggers="Scene.Update.Post")
    stash.ask("mutation { optimiseDatabase }")
    schema = make_engine().schema
    answer = stash.post(f"{{ found: {ROOTS[type_name]} {{ {every_field(schema, type_name)} }} }}")
    assert (answer.status, answer.json.get("errors")) == (200, None)
    assert answer.json["data"]["found"]


# --- replies ------------------------------------------------------------------------------------------------


def test_errors_come_first_and_data_always(stash):
    answer = stash.post("{ findScene(id: 1) { nope } }")
    assert answer.status == 422
    assert list(answer.json) == ["errors", "data"] and answer.json["data"] is None
    assert answer.json["errors"][0] == {
        "message": 'Cannot query field "nope" on type "Scene". Did you mean "code"?',
        "locations": [{"line": 1, "column": 22}],
        "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"},
    }
    broken = stash.post("{ findScene(")
    assert (broken.status, broken.json["errors"][0]["extensions"]) == (422, {"code": "GRAPHQL_PARSE_FAILED"})


@pytest.mark.parametrize(
    ("accept", "status", "kind"),
    [
        (None, 422, "application/json"),
        ("application/json", 422, "application/json"),
        ("*/*", 400, "application/graphql-response+json"),
        ("application/graphql-response+json", 400, "application/graphql-response+json"),
    ],
)
def test_the_status_goes_by_what_is_accepted(stash, accept, status, kind):
    headers = {"Content-Type": "application/json"} | ({"Accept": accept} if accept else {})
    for query, expected in (("{ nope }", status), ("{ version { hash } }", 200)):
        answer = stash.request("POST", "/graphql", json.dumps({"query": query}).encode(), headers)
        assert (answer.status, answer.headers["Content-Type"]) == (expected, kind)


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"{", "application/json"), (b"[]", "application/json"), (b'{"query":"{a}"}', "text/plain")],
)
def test_what_is_no_graphql_request_is_400(stash, body, kind):
    answer = stash.request("POST", "/graphql", body, {"Content-Type": kind})
    assert answer.status == 400 and answer.json["data"] is None


def test_get_is_for_queries(stash):
    query = urllib.parse.urlencode(
        {"query": "query($i: ID) { findScene(id: $i) { id } }", "variables": '{"i": 3}'}
    )
    assert stash.request("GET", f"/graphql?{query}").data == {"findScene": {"id": "3"}}
    query = urllib.parse.urlencode({"query": "mutation { reloadPlugins }"})
    assert stash.request("GET", f"/graphql?{query}").status == 406


@pytest.mark.parametrize(
    ("variables", "status"),
    [
        ({"i": {"id": 1, "rating100": 5}}, 200),
        ({"i": {"id": "1", "rating100": None}}, 200),
        ({"i": {"id": 1, "rating100": True}}, 422),
        ({"i": {"id": 1, "rating": 5}}, 422),
        ({"i": {"rating100": 5}}, 422),
        ({}, 422),
    ],
)
def test_variables(stash, variables, status):
    answer = stash.post(UPDATE, variables)
    assert answer.status == status
    if status == 422:
        assert answer.json["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


@pytest.mark.parametrize(
    ("query", "variables", "words"),
    [
        (
            'mutation($m: Map) { f: runPluginTask(plugin_id: "x", args_map: $m) }',
            {"m": [1]},
            "[1] is not a map",
        ),
        ('mutation { f: runPluginTask(plugin_id: "x", args_map: "s") }', {}, "is not a map"),
        ("mutation { f: setPluginsEnabled(enabledMap: {a: 1}) }", {}, "is not a map of booleans"),
        ('mutation { f: sceneAddPlay(id: 1, times: ["noon"]) { count } }', {}, "is not a time"),
        (
            "mutation($s: [StashIDInput!]) { f: sceneUpdate(input: {id: 1, stash_ids: $s}) { id } }",
            {"s": [{"endpoint": "e", "stash_id": "s", "updated_at": "x"}]},
            "is not a time",
        ),
    ],
)
def test_a_scalar_of_stash_s_own_fails_when_its_field_runs(stash, query, variables, words):
    answer = stash.post(query, variables)
    assert answer.status == 200
    assert words in answer.json["errors"][0]["message"] and answer.json["errors"][0]["path"] == ["f"]


def test_a_failing_field_is_null_with_its_path(stash):
    answer = stash.post(
        "mutation { a: sceneUpdate(input: {id: 99}) { id } b: sceneUpdate(input: {id: 1}) { id } }"
    )
    assert answer.status == 200
    assert answer.raw.startswith(
        b'{"errors":[{"message":"scene with id 99 not found","path":["a"]}],"data":{"a":null'
    )
    assert answer.json["data"]["b"] == {"id": "1"}


def test_a_failing_field_that_may_not_be_null_takes_everything(stash):
    answer = stash.post("{ version { hash } findScenes(ids: [1, 99]) { count } }")
    assert answer.json == {
        "errors": [{"message": "scene with id 99 not found", "path": ["findScenes"]}],
        "data": None,
    }
    assert stash.post("{ findScenes(ids: [1, 1]) { count } }").json["data"] is None


def test_find_scene_by_what_is_not_there(stash):
    assert stash.ask("{ a: findScene(id: 99) { id } b: findScene { id } }") == {"a": None, "b": None}
    answer = stash.post('{ findScene(id: "x") { id } }').json
    assert answer["data"] == {"findScene": None} and "invalid syntax" in answer["errors"][0]["message"]


def test_fields_come_in_the_query_s_order_with_fragments_and_directives(stash):
    query = """
      query($yes: Boolean!) {
        findScene(id: 1) { ...b title @skip(if: $yes) ... on Scene { id } code @include(if: $yes) x: id __typename }
      }
      fragment b on Scene { date studio { name } studio { id } }
    """
    raw = stash.post(query, {"yes": True}).raw
    assert raw == (
        b'{"data":{"findScene":{"date":"2024-05-17","studio":{"name":"Driftwood Films","id":"1"},"id":"1","code":"",'
        b'"x":"1","__typename":"Scene"}}}'
    )


def test_numbers_as_gqlgen_writes_them(stash):
    raw = stash.post(
        "{ findScene(id: 1) { resume_time files { duration size frame_rate } } findScenes { filesize } }"
    ).raw
    assert b'"resume_time":0,"files":[{"duration":60,"size":5000000000,"frame_rate":30}]' in raw
    assert b'"filesize":1' not in raw and b"e+" in raw


@pytest.mark.parametrize(
    ("value", "graphql", "struct"),
    [
        (60.0, "60", "60"),
        (0.5, "0.5", "0.5"),
        (1_200_000.0, "1.2e+06", "1200000"),
        (123456.0, "123456", "123456"),
        (1234567.5, "1.2345675e+06", "1234567.5"),
        (1e-05, "1e-05", "0.00001"),
        (1e-07, "1e-07", "1e-7"),
        (1e22, "1e+22", "1e+22"),
        (-2.5, "-2.5", "-2.5"),
        (0.0, "0", "0"),
    ],
)
def test_floats_are_go_s(value, graphql, struct):
    assert (graphql_float(value), struct_float(value)) == (graphql, struct)


def test_json_is_go_s():
    assert (
        dumps({"b": "<&>\u2029é\n", "a": Number("1.50")})
        == '{"b":"\\u003c\\u0026\\u003e\\u2029é\\n","a":1.50}'
    )
    assert dumps(sorted_map({"b": 1, "a": [{"d": True, "c": None}]})) == '{"a":[{"c":null,"d":true}],"b":1}'


def test_a_locked_database_is_an_error_in_a_200(stash):
    stash.handle.call("POST", "/switches", {"database_locked": 1})
    answer = stash.post(UPDATE, {"i": {"id": 1, "title": "x"}})
    assert answer.status == 200
    assert answer.json == {
        "errors": [{"message": "database is locked", "path": ["sceneUpdate"]}],
        "data": {"sceneUpdate": None},
    }
    assert stash.scene(1).title == "First light"
    assert stash.post(UPDATE, {"i": {"id": 1, "title": "x"}}).data


def test_gzip_on_request_only(stash):
    fields = "id title details paths { screenshot preview stream webp vtt sprite funscript caption }"
    query = json.dumps({"query": f"{{ a: allScenes {{ {fields} }} b: allScenes {{ {fields} }} }}"}).encode()
    plain = stash.request("POST", "/graphql", query, {"Content-Type": "application/json"})
    packed = stash.request(
        "POST", "/graphql", query, {"Content-Type": "application/json", "Accept-Encoding": "gzip"}
    )
    assert plain.headers["Content-Encoding"] is None and packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.raw) < len(plain.raw)


# --- who may ask --------------------------------------------------------------------------------------------


def test_a_wrong_key_is_401_even_without_credentials(stash):
    for headers, path in (
        ({"ApiKey": "x"}, "/graphql"),
        ({}, "/graphql?apikey=x"),
        ({"ApiKey": "x"}, "/scene/1/screenshot"),
    ):
        answer = stash.request("GET", path, headers=headers)
        assert (answer.status, answer.raw) == (401, b"")
    assert stash.post("{ version { hash } }").status == 200


def login(stash: World, password: str = "secret") -> str | None:
    form = urllib.parse.urlencode({"username": "me", "password": password}).encode()
    answer = stash.request("POST", "/login", form, {"Content-Type": "application/x-www-form-urlencoded"})
    if password != "secret":
        assert answer.status == 401
        return None
    assert answer.status == 200
    cookie = answer.headers["Set-Cookie"]
    assert "Path=/" in cookie and "Max-Age=3600" in cookie
    return cookie.partition(";")[0]


def test_nobody_is_sent_away(locked):
    answer = locked.post("{ version { hash } }")
    assert (answer.status, answer.raw, answer.headers["WWW-Authenticate"]) == (401, b"", "FormBased")
    assert locked.request("GET", "/some/file.js").status == 401
    picture = locked.request("GET", "/scene/1/screenshot?t=5")
    assert (picture.status, picture.headers["Location"]) == (
        302,
        "/login?returnURL=%2Fscene%2F1%2Fscreenshot%3Ft%3D5",
    )
    assert locked.request("GET", picture.headers["Location"]).status == 200
    assert locked.request("GET", "/healthz").status == 200


def test_key_and_cookie_open_it(locked):
    key = locked.instance.api_key
    assert locked.post("{ version { hash } }", headers={"ApiKey": key}).status == 200
    assert locked.request("GET", f"/scene/1/screenshot?apikey={key}").status == 200
    login(locked, "wrong")
    cookie = login(locked)
    answer = locked.post("{ configuration { general { apiKey } } }", headers={"Cookie": cookie})
    assert answer.data == {"configuration": {"general": {"apiKey": key}}}
    assert answer.headers["Set-Cookie"].startswith("session=")
    assert locked.post("{ version { hash } }", headers={"Cookie": cookie, "ApiKey": "x"}).status == 401
    assert locked.post("{ version { hash } }", headers={"Cookie": cookie + "x"}).status == 401


def test_a_cookie_dies_and_the_first_of_two_is_read(locked):
    cookie = login(locked)
    locked.instance.sessions.max_age_s = 0.05
    time.sleep(0.1)
    assert locked.post("{ version { hash } }", headers={"Cookie": cookie}).status == 401
    locked.instance.sessions.max_age_s = 3600
    fresh = login(locked)
    both = f"session=dead; {fresh}"
    assert locked.post("{ version { hash } }", headers={"Cookie": both}).status == 401
    assert locked.post("{ version { hash } }", headers={"Cookie": fresh}).status == 200


def test_the_age_of_a_session_can_be_configured(locked):
    headers = {"Cookie": login(locked)}
    query = "mutation { configureGeneral(input: {maxSessionAge: 60}) { maxSessionAge } }"
    assert locked.post(query, headers=headers).data["configureGeneral"]["maxSessionAge"] == 60
    assert "Max-Age=60" in locked.post("{ version { hash } }", headers=headers).headers["Set-Cookie"]


def test_generate_api_key(locked):
    headers = {"Cookie": login(locked)}
    old = locked.instance.api_key
    new = locked.post("mutation { generateAPIKey(input: {}) }", headers=headers).data["generateAPIKey"]
    assert new != old and new.count(".") == 2
    assert locked.post("{ version { hash } }", headers={"ApiKey": old}).status == 401
    assert (
        locked.post("mutation { generateAPIKey(input: {clear: true}) }", headers=headers).data[
            "generateAPIKey"
        ]
        == ""
    )


# --- pictures -----------------------------------------------------------------------------------------------


def test_no_cover_is_a_200_with_a_placeholder(stash):
    answer = stash.request("GET", "/scene/1/screenshot")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/svg+xml")
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["ETag"] == f'"{hashlib.md5(answer.raw).hexdigest()}"'
    again = stash.request("GET", "/scene/1/screenshot", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.raw) == (304, b"")
    assert stash.request("GET", "/scene/99/screenshot").status == 404
    assert stash.request("GET", "/scene/x/screenshot").status == 400


def test_a_cover_has_its_own_type_and_a_new_t(stash):
    before = stash.ask("{ findScene(id: 1) { paths { screenshot } } }")["findScene"]["paths"]["screenshot"]
    assert before.startswith(f"{stash.url}/scene/1/screenshot?t=")
    stash.scene(1).updated_at = "2020-01-01T00:00:00Z"
    stash.ask("mutation { sceneGenerateScreenshot(id: 1, at: 3.5) }")
    wait_for(lambda: stash.scene(1).cover)
    url = stash.ask("{ findScene(id: 1) { paths { screenshot } } }")["findScene"]["paths"]["screenshot"]
    answer = stash.request("GET", url.removeprefix(stash.url))
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"


def test_paths_follow_the_host_header(stash):
    headers = {"Host": "stash.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/s"}
    paths = stash.post("{ findScene(id: 1) { paths { screenshot stream } } }", headers=headers).data[
        "findScene"
    ]["paths"]
    assert paths["screenshot"].startswith("https://stash.example/s/scene/1/screenshot?t=")
    assert paths["stream"] == "https://stash.example/s/scene/1/stream"


def test_only_the_stream_carries_the_key(locked):
    key = locked.instance.api_key
    answer = locked.post("{ findScene(id: 1) { paths { screenshot stream } } }", headers={"ApiKey": key})
    paths = answer.data["findScene"]["paths"]
    assert key in paths["stream"] and key not in paths["screenshot"]


def test_pictures_of_performers_say_when_they_are_defaults(stash):
    url = stash.ask("{ findPerformer(id: 1) { image_path } }")["findPerformer"]["image_path"]
    assert url.endswith("&default=true")
    data = "data:image/gif;base64,R0lGODlhAQABAAAAACw="
    stash.ask(
        "mutation($i: PerformerUpdateInput!) { performerUpdate(input: $i) { id } }",
        i={"id": 1, "image": data},
    )
    url = stash.ask("{ findPerformer(id: 1) { image_path } }")["findPerformer"]["image_path"]
    assert "default" not in url
    assert stash.request("GET", url.removeprefix(stash.url)).headers["Content-Type"] == "image/gif"


def test_a_plugin_s_files(stash):
    folder = stash.plugin(
        "Ui", yml="ui:\n  javascript: [a.js, b.js, https://x.example/c.js]\n  assets: {/: public}\n"
    )
    (folder / "a.js").write_text("one")
    (folder / "b.js").write_text("two")
    (folder / "public").mkdir()
    (folder / "public" / "p.txt").write_text("open")
    assert stash.request("GET", "/plugin/Ui/javascript").raw == b"one\ntwo"
    assert stash.request("GET", "/plugin/Ui/assets/p.txt").raw == b"open"
    assert stash.request("GET", "/plugin/Ui/assets/../main.py").status == 404
    paths = stash.ask("{ plugins { paths { javascript css } } }")["plugins"][0]["paths"]
    assert paths == {
        "javascript": [f"{stash.url}/plugin/Ui/javascript", "https://x.example/c.js"],
        "css": None,
    }
    stash.ask("mutation($m: BoolMap!) { setPluginsEnabled(enabledMap: $m) }", m={"Ui": False})
    assert stash.request("GET", "/plugin/Ui/assets/p.txt").status == 400


# --- subscriptions ------------------------------------------------------------------------------------------


async def subscribe(stash, protocol: str, query: str, act, enough) -> list:
    """Payloads of a subscription, from when `act` was called until `enough(payloads)`."""
    start = "subscribe" if protocol == "graphql-transport-ws" else "start"
    seen: list = []
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{stash.url}/graphql", protocols=(protocol,)) as socket,
    ):
        assert socket.protocol == protocol
        await socket.send_json({"type": "connection_init"})
        assert (await socket.receive_json())["type"] == "connection_ack"
        await socket.send_json({"id": "1", "type": start, "payload": {"query": query}})
        await asyncio.sleep(0.05)
        await asyncio.to_thread(act)
        while not enough(seen):
            message = await socket.receive_json(timeout=10)
            if message["type"] in ("next", "data"):
                seen.append(message["payload"]["data"])
    return seen


@pytest.mark.parametrize("protocol", ["graphql-transport-ws", "graphql-ws"])
def test_jobs_over_a_websocket(stash, protocol):
    query = "subscription { jobsSubscribe { type job { id status description } } }"
    done = lambda seen: seen and seen[-1]["jobsSubscribe"]["type"] == "REMOVE"  # noqa: E731
    seen = asyncio.run(
        subscribe(stash, protocol, query, lambda: stash.ask("mutation { optimiseDatabase }"), done)
    )
    moves = [(item["jobsSubscribe"]["type"], item["jobsSubscribe"]["job"]["status"]) for item in seen]
    assert moves == [("ADD", "READY"), ("UPDATE", "RUNNING"), ("REMOVE", "FINISHED")]


def test_logs_and_scans_over_a_websocket(stash):
    stash.plugin("Echo", triggers="Scene.Update.Post")
    query = "subscription { loggingSubscribe { level message } }"
    act = lambda: stash.ask(UPDATE, i={"id": 1})  # noqa: E731
    seen = asyncio.run(subscribe(stash, "graphql-transport-ws", query, act, bool))
    assert {"level": "Info", "message": "[Plugin / Echo] seen"} in seen[0]["loggingSubscribe"]
    act = lambda: stash.ask("mutation { metadataScan(input: {}) }")  # noqa: E731
    query = "subscription { scanCompleteSubscribe }"
    seen = asyncio.run(subscribe(stash, "graphql-transport-ws", query, act, bool))
    assert seen == [{"scanCompleteSubscribe": True}]


def test_queries_and_refusals_over_a_websocket(stash):
    async def talk() -> list:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{stash.url}/graphql", protocols=("graphql-transport-ws",)) as socket,
        ):
            await socket.send_json({"type": "connection_init"})
            await socket.receive_json()
            for key, query in (("a", "{ findScene(id: 1) { title } }"), ("b", "{ nope }")):
                await socket.send_json({"id": key, "type": "subscribe", "payload": {"query": query}})
            return [await socket.receive_json(timeout=5) for _ in range(3)]

    messages = asyncio.run(talk())
    by_kind = {(m["id"], m["type"]): m.get("payload") for m in messages}
    assert by_kind["a", "next"] == {"data": {"findScene": {"title": "First light"}}}
    assert ("a", "complete") in by_kind
    assert by_kind["b", "error"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


# --- https --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
def test_https_with_a_certificate_of_its_own(tmp_path, monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # either makes requests forget `verify_ssl=False`
        monkeypatch.delenv(name, raising=False)
    certificate, key = self_signed(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    with world(tmp_path, tls=tls) as stash:
        assert stash.url.startswith("https://")
        port = int(stash.url.rsplit(":", 1)[1])
        with pytest.raises(requests.exceptions.SSLError):
            StashInterface({"Scheme": "https", "Host": "127.0.0.1", "Port": port})
        api = StashInterface({"Scheme": "https", "Host": "127.0.0.1", "Port": port}, verify_ssl=False)
        found = api.find_scene(1, "paths { screenshot }")["paths"]["screenshot"]
        assert found.startswith(f"https://127.0.0.1:{port}/scene/1/")
        script = 'import json, sys; print(json.load(sys.stdin)["server_connection"]["Scheme"])'
        (stash.plugins / "P").mkdir()
        (stash.plugins / "P" / "P.yml").write_text('exec: [python3, "{pluginDir}/main.py"]\n')
        (stash.plugins / "P" / "main.py").write_text(script)
        api.call_GQL("mutation { reloadPlugins }")
        assert api.call_GQL('mutation { runPluginOperation(plugin_id: "P") }') == {
            "runPluginOperation": "https\n"
        }


# --- as a program -------------------------------------------------------------------------------------------


def test_started_by_hand(tmp_path):
    library = tmp_path / "library.json"
    library.write_text(json.dumps({"scenes": [{"title": "x", "path": "/a.mp4"}]}))
    command = [
        sys.executable,
        "-m",
        "simulators.fake_stash",
        "--library",
        str(library),
        "--username",
        "u",
        "--password",
        "p",
    ]
    command += ["--config-dir", str(tmp_path / "c"), "--zone", "+11:00"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    ready = json.loads(process.stdout.readline())
    assert ready["ready"] and ready["service"] == "fake_stash" and ready["pid"] == process.pid
    request = urllib.request.Request(
        ready["url"] + "/graphql",
        b'{"query":"{allScenes{title updated_at}}"}',
        {"Content-Type": "application/json"},
    )
    request.add_header("ApiKey", ready["api_key"])
    with urllib.request.urlopen(request) as reply:
        scene = json.load(reply)["data"]["allScenes"][0]
    assert scene["title"] == "x" and scene["updated_at"].endswith("+11:00")
    process.terminate()
    assert process.wait(10) == 0
    assert process.stdout.read() == b""


@pytest.mark.parametrize(
    ("library", "words"),
    [
        ("{", "Expecting"),
        ('{"scene": []}', "unknown key 'scene'"),
        ('{"scenes": [{"titel": "x"}]}', "unknown key 'titel'"),
        ('{"tags": [{}]}', "'name' is missing"),
    ],
)
def test_a_wrong_library_is_one_sentence(tmp_path, library, words):
    path = tmp_path / "library.json"
    path.write_text(library)
    command = [
        sys.executable,
        "-m",
        "simulators.fake_stash",
        "--library",
        str(path),
        "--config-dir",
        str(tmp_path / "c"),
    ]
    found = subprocess.run(
        command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    assert found.returncode == 2 and words in found.stderr and "Traceback" not in found.stderr


ORPHAN = """
import os, sys, time
sys.stdin.read()
for _ in range(400):
    time.sleep(0.02)
    try:
        os.write(2, b"x\\n")
    except BrokenPipeError:
        open(sys.argv[1], "w").write("EPIPE")
        sys.exit()
"""


def test_a_server_that_stops_waits_for_requests_and_leaves_orphans(tmp_path):
    plugins = tmp_path / "plugins" / "P"
    plugins.mkdir(parents=True)
    trace = tmp_path / "trace"
    (plugins / "P.yml").write_text(
        f'exec: [python3, "{{pluginDir}}/main.py"]\ntasks:\n  - name: T\n    execArgs: ["{trace}"]\n'
    )
    (plugins / "main.py").write_text(
        "import sys, time\nif len(sys.argv) < 2:\n    time.sleep(0.5); print('{\"output\": 1}'); sys.exit()\n"
        + ORPHAN
    )
    command = [sys.executable, "-m", "simulators.fake_stash", "--plugins", str(plugins.parent)]
    command += ["--config-dir", str(tmp_path / "c"), "--python-path", sys.executable]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2]
    )
    ready = json.loads(process.stdout.readline())

    def ask(query: str):
        body = json.dumps({"query": query}).encode()
        request = urllib.request.Request(
            ready["url"] + "/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)["data"]

    def runs() -> list:
        with urllib.request.urlopen(ready["control"] + "/runs") as reply:
            return json.load(reply)

    ask('mutation { runPluginTask(plugin_id: "P", task_name: "T") }')
    wait_for(lambda: runs() and runs()[0]["log"])

    async def stop_meanwhile():
        asking = asyncio.create_task(
            asyncio.to_thread(ask, 'mutation { runPluginOperation(plugin_id: "P") }')
        )
        await asyncio.to_thread(wait_for, lambda: len(runs()) == 2)
        process.terminate()
        return await asking

    assert asyncio.run(stop_meanwhile()) == {"runPluginOperation": 1}
    assert process.wait(10) == 0
    assert wait_for(lambda: trace.exists() and trace.read_text()) == "EPIPE"
    shutil.rmtree(plugins)
