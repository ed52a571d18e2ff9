"""Unmodified stashapi 0.1.5 over real sockets: every call it can make that is valid on this schema, by its result."""

import base64

import pytest
import requests
from stash_world import ECHO, LIBRARY, wait_for, world
from stashapi.stash_types import PhashDistance, StashItem
from stashapi.stashapp import StashInterface

from simulators.fake_stash.catalog import picture
from tests.simulators.covered import stashapi_not_called

FIELDS = (
    "id title date rating100 studio { id name } performers { id name } tags { id name } files { id path }"
)


@pytest.fixture
def stash(tmp_path):
    with world(tmp_path, seed=3) as found:
        yield found


@pytest.fixture
def api(stash) -> StashInterface:
    return stash.api()


def journal_fields(stash) -> list[str]:
    return [row["operation"] for row in stash.handle.requests() if row["path"] == "/graphql"]


# --- construction, version, configuration -------------------------------------------------------------------


def test_construction_is_three_posts(stash):
    api = stash.api()
    assert len(journal_fields(stash)) == 3
    assert (api.version.major, api.version.minor, api.version.patch) == (0, 30, 1)
    assert "Scene" in api.fragments and "parent_folder { id path basename }" in api.fragments["VideoFile"]


def test_force_api_key(tmp_path):
    with world(tmp_path, user="u", password="p") as found:
        api = found.api(ApiKey=found.instance.api_key, force_api_key=True)
        assert api.s.headers["ApiKey"] == found.instance.api_key
        with pytest.raises(Exception, match="Authentication error"):
            found.api(ApiKey="wrong")


def test_version_and_configuration(stash, api):
    assert str(api.stash_version()) == str(api.version)
    config = api.get_configuration()
    assert config["general"]["pluginsPath"] == str(stash.plugins)
    assert config["defaults"]["scan"]["scanGenerateCovers"] is True
    assert config["plugins"] == {}
    assert api.get_configuration("general { apiKey }") == {"general": {"apiKey": ""}}
    assert api.get_configuration_defaults("generate { covers }") == {"generate": {"covers": True}}
    assert api.get_identify_config()["setCoverImage"] is True
    assert api.get_stashbox_connections() == []


def test_plugin_settings(api):
    assert api.find_plugin_config("P") == {}
    assert api.configure_plugin("P", {"a": 1, "b": True}) == {"a": 1, "b": True}
    assert api.configure_plugin("P", {"b": False, "c": "x"}) == {"a": 1, "b": False, "c": "x"}
    assert api.configure_plugin("P", {"a": 9, "d": 2.5}, init_defaults=True)["a"] == 1
    assert api.find_plugin_config("P", {"e": "new"})["e"] == "new"
    assert api.find_plugins_config(["P", "Q"]) == {"P": {"a": 1, "b": False, "c": "x", "d": 2.5, "e": "new"}}
    assert set(api.find_plugins_config([])) == set()


# --- scenes -------------------------------------------------------------------------------------------------


def test_the_default_scene_fragment_is_refused_here(api):
    """Folder.basename is not in this schema: stashapi trips over it, as on the real server."""
    with pytest.raises(AttributeError):
        api.find_scene(1)
    with pytest.raises(AttributeError):
        api.find_scenes()
    with pytest.raises(AttributeError):
        api.find_scene_by_hash({"oshash": "x"})


def test_find_scene(api):
    scene = api.find_scene(1, FIELDS)
    assert scene["title"] == "First light"
    assert scene["studio"]["name"] == "Driftwood Films"
    assert [tag["name"] for tag in scene["tags"]] == ["Beach", "Outdoor"]
    assert scene["files"][0]["path"] == "/data/a/first.mp4"
    assert api.find_scene("2", "date") == {"date": "2024-05"}
    assert api.find_scene(99, "id") is None


def test_find_scenes(api):
    assert api.find_scenes(filter={"per_page": 0}, fragment="id", get_count=True) == (4, [])
    assert [s["id"] for s in api.find_scenes(q="light", filter={"per_page": -1}, fragment="id")] == ["1"]
    newer = {"id": {"modifier": "GREATER_THAN", "value": 2}}
    assert [s["id"] for s in api.find_scenes(f=newer, filter={"sort": "id"}, fragment="id")] == ["3", "4"]
    seen: list[str] = []
    api.find_scenes(
        filter={"per_page": 3}, fragment="id", callback=lambda page: seen.extend(s["id"] for s in page)
    )
    assert seen == ["1", "2", "3", "4"]


def test_scenes_by_hash(stash, api):
    oshash = stash.instance.catalog.files[1].fingerprint("oshash")
    assert api.find_scene_by_hash({"oshash": oshash}, "id") == {"id": "1"}
    assert [s["id"] for s in api.find_scenes_by_hash("oshash", oshash, "id")] == ["1"]
    assert api.find_scenes_by_hash("md5", "none", ids_only=True) == []


def test_create_update_destroy_scene(stash, api):
    made = api.create_scene({"title": " New ", "tag_ids": [1]})
    assert api.find_scene(made["id"], "title tags { name }") == {
        "title": "New",
        "tags": [{"name": "Outdoor"}],
    }
    assert [s["id"] for s in api.create_scenes([{"title": "x"}, {"title": "y"}])] == ["6", "7"]
    cover = "data:image/png;base64," + base64.b64encode(picture("c")).decode()
    assert api.update_scene({"id": 1, "details": None, "rating100": None, "cover_image": cover}) == "1"
    assert (stash.scene(1).details, stash.scene(1).rating100, stash.scene(1).cover) == (
        "",
        None,
        picture("c"),
    )
    assert (
        api.update_scene({"id": 2, "tags": ["outdoor", "Fresh"], "performers": ["Béa Ito"]}, create=True)
        == "2"
    )
    assert [t["name"] for t in api.find_scene(2, "tags { name }")["tags"]] == ["Fresh", "Outdoor"]
    assert api.destroy_scene(made["id"]) is True
    assert api.destroy_scenes([6, 7]) is True
    assert sorted(stash.instance.catalog.scenes) == [1, 2, 3, 4]


def test_bulk_update(stash, api):
    given = {"ids": [1, 3], "tag_ids": {"mode": "ADD", "ids": [1]}, "organized": True}
    assert [s["id"] for s in api.update_scenes(given)] == ["1", "3"]
    assert sorted(stash.scene(3).tag_ids) == [1, 2]
    api.update_scenes(
        {"ids": [1], "tag_ids": {"mode": "REMOVE", "ids": [2]}, "performer_ids": {"mode": "SET", "ids": []}}
    )
    assert (stash.scene(1).tag_ids, stash.scene(1).performer_ids) == ([1], [])


def test_merge_scenes(stash, api):
    assert api.merge_scenes(2, 1, {"title": "Both"})["id"] == "1"
    assert 2 not in stash.instance.catalog.scenes
    assert stash.scene(1).title == "Both"
    assert stash.scene(1).file_ids == [1, 2]


def test_duplicates_and_stash_ids(stash, api):
    for file_id in (1, 2):
        assert api.file_set_fingerprints(file_id, [{"type": "phash", "value": "ff00"}]) is True
    assert api.find_duplicate_scenes(PhashDistance.EXACT) == [[{"id": "1"}, {"id": "2"}]]
    api.update_scene({"id": 1, "stash_ids": [{"endpoint": "e", "stash_id": "s"}]})
    found = {"stash_id_endpoint": {"endpoint": "e", "stash_id": "s", "modifier": "EQUALS"}}
    assert [s["id"] for s in api.find_scenes(f=found, fragment="id")] == ["1"]


# --- markers ------------------------------------------------------------------------------------------------


def test_markers(stash, api):
    made = api.create_scene_marker(
        {"title": "m", "seconds": 9.5, "scene_id": 1, "primary_tag_id": 1, "tag_ids": [2]}
    )
    assert (
        made["seconds"] == 9.5 and made["primary_tag"]["name"] == "Outdoor" and made["scene"] == {"id": "1"}
    )
    api.create_scene_marker({"title": "n", "seconds": 3, "scene_id": 1, "primary_tag_id": 2}, fragment="id")
    assert [m["title"] for m in api.get_scene_markers(1, "title")] == ["n", "m"]
    assert len(api.get_scene_markers(1)) == 2
    by_tag = {"tags": {"value": [1], "modifier": "INCLUDES"}}
    assert [m["title"] for m in api.find_scene_markers(by_tag, fragment="title")] == ["m"]
    api.update_scene_marker({"id": made["id"], "title": "renamed"})
    assert stash.instance.catalog.rows["marker"][1].title == "renamed"
    assert len(api.merge_scene_markers(3, [1])) == 2
    api.destroy_scene_marker(made["id"])
    api.destroy_markers([2])
    assert len(stash.instance.catalog.rows["marker"]) == 2
    api.destroy_scene_markers(3)
    assert stash.instance.catalog.rows["marker"] == {}


# --- tags, performers, studios, groups ----------------------------------------------------------------------


def test_tags(stash, api):
    made = api.create_tag({"name": "Night", "aliases": ["Dark"]})
    assert made["name"] == "Night" and made["scene_count"] == 0 and made["parents"] == []
    assert api.find_tag("dark")["id"] == made["id"]
    assert api.find_tag(1)["children"] == [{"id": "2"}]
    assert api.find_tag({"name": "Beach"})["scene_count"] == 2
    assert api.find_tag("Nobody", create=True)["id"] == "4"
    assert api.find_tag("nothing at all") is None
    assert len(api.find_tags()) == 4 and api.find_tags(q="bea", fragment="name") == [{"name": "Beach"}]
    assert api.find_tags(filter={"per_page": 1}, fragment="id", get_count=True) == (4, [{"id": "1"}])
    api.update_tag({"id": 3, "description": "d"})
    assert stash.instance.catalog.tags[3].description == "d"
    assert api.map_tag_ids(["Night", "Beach", "unheard of"]) == ["3", "2"]
    assert api.merge_tags([2], 1)["aliases"] == ["Beach"]
    assert stash.scene(3).tag_ids == [1]
    api.destroy_tag(3)
    api.destroy_tags([4])
    assert list(stash.instance.catalog.tags) == [1]


def test_performers(stash, api):
    made = api.create_performer(
        {"name": "Nils Weiss", "alias_list": ["N. W."], "gender": "MALE", "height_cm": 180}
    )
    assert made["height_cm"] == 180 and made["custom_fields"] == {}
    assert api.find_performer("n. w.")["id"] == made["id"]
    assert api.find_performer(1)["scene_count"] == 2
    assert api.find_performer({"name": "Ada Keller"})["name"] == "Ada Keller"
    assert api.find_performer("Somebody New", create=True)["id"] == "4"
    assert len(api.find_performers()) == 4
    assert api.find_performers(q="ada", fragment="id", get_count=True) == (1, [{"id": "1"}])
    assert api.update_performer({"id": 3, "details": "d"})["details"] == "d"
    assert api.map_performer_ids(["Ada Keller", "unheard of"]) == ["1"]
    api.update_performers({"ids": [1, 2], "favorite": True})
    assert stash.instance.catalog.rows["performer"][2].favorite is True
    api.merge_performers(2, 1)
    assert 2 not in stash.instance.catalog.rows["performer"]
    assert "Béa Ito" in stash.instance.catalog.rows["performer"][1].alias_list
    assert api.destroy_performer([3, 4]) is True


def test_studios(stash, api):
    made = api.create_studio({"name": "Foxglove", "parent_id": 1})
    assert made["parent_studio"] == {"id": "1"}
    assert api.find_studio(1)["child_studios"] == [{"id": "2"}, {"id": "3"}]
    assert api.find_studio("Driftwood West")["scene_count"] == 1
    assert api.find_studio({"name": "Brand New"}, create=True)["id"] == "4"
    assert api.find_studios(q="fox", fragment="id", get_count=True) == (1, [{"id": "3"}])
    assert len(api.find_studios()) == 4
    assert api.update_studio({"id": 3, "details": "d"})["details"] == "d"
    assert api.find_studio_root({"id": 3})["id"] == "1"
    assert [s["id"] for s in api.find_studio_hierarchy({"id": 3}, "id", [])] == ["1", "3"]


def test_groups(stash, api):
    made = api.create_group({"name": "Second Summer", "date": "2020"})
    assert made == {"id": "2"}
    assert api.create_group("By name") == {"id": "3"}
    assert api.find_group(1)["scene_count"] == 1
    assert api.find_group("Second Summer")["date"] == "2020"
    assert api.find_groups(q="summer", fragment="id", get_count=True) == (2, [{"id": "1"}, {"id": "2"}])
    assert len(api.find_groups()) == 3
    assert api.update_group({"id": 2, "director": "D"})["director"] == "D"
    assert api.update_groups({"ids": [2, 3], "rating100": 40}) == [{"id": "2"}, {"id": "3"}]
    assert stash.instance.catalog.rows["group"][3].rating100 == 40
    assert api.find_movie(2)["name"] == "Second Summer"
    assert api.create_movie({"name": "Third Summer"}) == {"id": "4"}
    assert api.update_movie({"id": 4, "synopsis": "s"})["synopsis"] == "s"
    assert api.find_movies(q="third", fragment="name") == [{"name": "Third Summer"}]
    with pytest.raises(AttributeError):
        api.destroy_group(3)  # asks a Boolean for fields: 422
    assert 3 in stash.instance.catalog.rows["group"]


# --- galleries and images -----------------------------------------------------------------------------------


def test_galleries_and_images(stash, api):
    catalog = stash.instance.catalog
    for number in (1, 2):
        file = catalog.add_file(f"/data/i/{number}.jpg", {"media": "image"})
        catalog.add("image", {"title": f"i{number}", "file_ids": [file.id]})
    gallery = api.create_gallery({"title": "G", "scene_ids": [1], "performer_ids": [1]})
    assert gallery == "1" and stash.scene(1).gallery_ids == [1]
    assert api.update_gallery({"id": 1, "details": "d"}) == "1"
    assert api.find_gallery(1, "title details") == {"title": "G", "details": "d"}
    assert api.find_galleries(q="G", fragment="id", get_count=True) == (1, [{"id": "1"}])
    assert api.update_galleries({"ids": [1], "organized": True}) == [{"id": "1"}]
    assert api.add_gallery_images(1, [1, 2]) is True
    assert [i["title"] for i in api.find_gallery_images(1, "title")] == ["i1", "i2"]
    assert api.remove_gallery_images(1, [1]) is True
    assert api.update_gallery_images({"id": 1, "image_ids": [1], "mode": "SET"}) is True
    assert catalog.rows["gallery"][1].image_ids == [1]
    chapter = api.create_gallery_chapter({"gallery_id": 1, "title": "c", "image_index": 1})
    assert api.update_gallery_chapter({"id": chapter, "title": "d"}) == chapter
    assert api.find_gallery(1, "chapters { title image_index }")["chapters"] == [
        {"title": "d", "image_index": 1}
    ]
    with pytest.raises(AttributeError):
        api.destroy_gallery_chapter(chapter)
    assert api.find_image(1, "title visual_files { ... on ImageFile { path } }") == {
        "title": "i1",
        "visual_files": [{"path": "/data/i/1.jpg"}],
    }
    assert api.find_images(q="i2", fragment="id", get_count=True) == (1, [{"id": "2"}])
    assert api.update_image({"id": 1, "rating100": 20})["id"] == "1"
    assert [i["id"] for i in api.update_images({"ids": [1, 2], "organized": True})] == ["1", "2"]
    assert api.destroy_image(1) is True
    assert api.destroy_images([2]) is True
    assert api.destroy_gallery([1]) is True
    assert (catalog.rows["image"], catalog.rows["gallery"]) == ({}, {})


# --- files, SQL, database -----------------------------------------------------------------------------------


def test_files_and_sql(stash, api):
    assert api.move_files({"ids": [1], "destination_folder": "/data/c"}) is True
    assert stash.instance.catalog.files[1].path == "/data/c/first.mp4"
    rows = api.sql_query("SELECT id, title FROM scenes WHERE rating > ?", [50])
    assert rows == {"columns": ["id", "title"], "rows": [[1, "First light"]]}
    assert api.sql_commit("UPDATE scenes SET title = ? WHERE id = 2", ["by hand"])["rows_affected"] == 1
    assert stash.scene(2).title == "by hand"
    api.merge_scenes(2, 1)
    assert api.destroy_files([2]) is True
    assert stash.scene(1).file_ids == [1]
    assert api.backup_database() == {"backupDatabase": None}
    assert stash.ended(api.optimise_database()["optimiseDatabase"])["status"] == "FINISHED"


# --- jobs ---------------------------------------------------------------------------------------------------


def test_tasks_and_jobs(stash, api):
    yml = "tasks:\n  - name: T\n    defaultArgs: {mode: m}\n"
    stash.plugin("Echo", ECHO, yml)
    job = api.run_plugin_task("Echo", "T", {"s": "x", "n": 3, "f": 1.5})
    assert api.wait_for_job(job, period=0.02) is True
    assert stash.runs()[0]["input"]["args"] == {"f": 1.5, "mode": "m", "n": 3, "s": "x"}
    assert api.find_job(job)["status"] == "FINISHED"
    assert api.job_queue() is None
    assert api.find_job(999) is None
    assert api.wait_for_job(999) is None
    assert api.stop_job(999) is True
    with pytest.raises(AttributeError):
        api.run_plugin_task("Echo", "T", {"flag": True})  # goes out as {"i": true}: 422


def test_metadata_jobs(stash, api):
    stash.handle.call("POST", "/files", {"path": "/data/new/x.mp4"})
    assert (
        stash.ended(api.metadata_scan(["/data/new"], {"scanGenerateCovers": False}))["status"] == "FINISHED"
    )
    assert stash.instance.catalog.scene_by_path("/data/new/x.mp4").cover is None
    assert stash.ended(api.metadata_scan())["status"] == "FINISHED"
    assert stash.ended(api.metadata_generate({"covers": True}))["status"] == "FINISHED"
    assert stash.scene(1).cover is not None
    assert stash.ended(api.metadata_generate())["status"] == "FINISHED"
    stash.handle.call("DELETE", "/files", {"path": "/data/new/x.mp4"})
    for answer, name in (
        (api.metadata_clean(), "metadataClean"),
        (api.metadata_autotag(tags=["*"]), "metadataAutoTag"),
        (api.metadata_clean_generated(), "metadataCleanGenerated"),
    ):
        assert stash.ended(answer[name])["status"] == "FINISHED"
    assert stash.instance.catalog.scene_by_path("/data/new/x.mp4") is None


def test_create_image_scans(stash, api):
    assert stash.ended(api.create_image("/data/a"))["description"] == "Scanning..."


# --- scrapers -----------------------------------------------------------------------------------------------


def test_scrapers_there_are_none_but_the_built_in(api):
    assert api.reload_scrapers() is True
    assert [row["name"] for row in api.list_scrapers([StashItem.SCENE])] == ["Auto Tag"]
    for listed, ids in (
        ("performer", ["builtin_freeones"]),
        ("scene", ["builtin_autotag"]),
        ("gallery", ["builtin_autotag"]),
        ("movie", []),
        ("image", []),
    ):
        assert [row["id"] for row in getattr(api, f"list_{listed}_scrapers")()] == ids
    for kind in ("scene", "group", "movie", "gallery", "performer", "image"):
        assert getattr(api, f"scrape_{kind}_url")("https://example.org/1") is None
    for kind in ("scene", "gallery", "performer", "image"):
        with pytest.raises(AttributeError):  # the answer's data is null: the scraper is not found
            getattr(api, f"scrape_{kind}")("nobody", 1)


# --- identify and stash-box ---------------------------------------------------------------------------------


def test_identify(stash, api):
    match = {"title": "Found", "studio": "Kestrel", "performers": ["Uma Xu"]}
    stash.handle.call("POST", "/identify", {"scene_id": 2, "matches": [match]})
    assert api.get_identify_source_config("https://stashdb.org/graphql") is None
    job = api.stashbox_identify_task([2], source_confg=api.get_identify_config())["metadataIdentify"]
    assert stash.ended(job)["status"] == "FINISHED"
    found = api.find_scene(2, "title studio { name } performers { name }")
    assert found == {"title": "Found", "studio": {"name": "Kestrel"}, "performers": [{"name": "Uma Xu"}]}


def test_stash_boxes(stash, api):
    box = {"endpoint": "https://box.example/graphql", "api_key": "k", "name": "Box"}
    stash.ask(
        "mutation($i: ConfigGeneralInput!) { configureGeneral(input: $i) { apiKey } }",
        i={"stashBoxes": [box]},
    )
    assert api.get_stashbox_connections() == [box]
    assert api.get_stashbox_connection("box.example")["index"] == 0
    with pytest.raises(AttributeError):  # a Boolean! that failed
        api.stashbox_submit_scene_fingerprints([1])
    assert api.submit_scene_draft(1) is None
    with pytest.raises(AttributeError):  # queryStashBoxScene is gone: 422
        api.stashbox_scene_scraper([1])


# --- by hand ------------------------------------------------------------------------------------------------


def test_graphql_by_hand(api):
    assert api.call_GQL("query($i: ID!) { findTag(id: $i) { name } }", {"i": 2}) == {
        "findTag": {"name": "Beach"}
    }
    assert api.callGQL("{ stats { scene_count } }") == {"stats": {"scene_count": 4}}
    query = "query($filter: FindFilterType) { findTags(filter: $filter) { count tags { name } } }"
    seen: list[str] = []
    api.paginate_GQL(
        query, {"filter": {"per_page": 1}}, callback=lambda rows: seen.extend(r["name"] for r in rows)
    )
    assert sorted(seen) == ["Beach", "Outdoor"]
    assert api.graphql_configuration()["general"]["apiKey"] == ""
    with pytest.raises(AttributeError):  # asks by `value`, which StashIDCriterionInput does not have: 422
        api.destroy_scene_stash_id("s")


# --- errors as stashapi sees them ---------------------------------------------------------------------------


def test_a_locked_database_is_an_empty_answer(stash, api):
    stash.handle.call("POST", "/switches", {"database_locked": 1, "database_locked_field": "sceneUpdate"})
    with pytest.raises(KeyError):
        api.update_scene({"id": 1, "title": "lost"})
    assert stash.scene(1).title == "First light"
    assert api.update_scene({"id": 1, "title": "kept"}) == "1"


def test_an_outage_is_a_plain_network_error(stash, api):
    stash.handle.outage()
    with pytest.raises(requests.ConnectionError):
        api.find_scene(1, "id")
    stash.handle.up()
    assert wait_for(lambda: api.find_scene(1, "id")) == {"id": "1"}


def test_raise_gql_errors(api):
    api.RAISE_GQL_ERRORS = True
    with pytest.raises(Exception, match="scene with id 77 not found"):
        api.update_scene({"id": 77, "title": "x"})


def test_library_is_not_changed_by_any_of_this():
    assert len(LIBRARY["scenes"]) == 4


def test_every_method_is_here():
    assert stashapi_not_called() == []
